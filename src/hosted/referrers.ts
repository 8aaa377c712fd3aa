import { type Digest, parseDigest } from '../oci/digest.ts';
import type { Repository } from '../oci/route.ts';
import type { Backend } from '../store/backend.ts';
import { referrersKey } from '../store/content-key.ts';
import { parseObject, toJson } from '../store/json.ts';

/** A manifest that names another as its subject, as a list of referrers shows it. */
export interface Referrer {
  readonly mediaType: string;
  readonly digest: Digest;
  /** Bytes. */
  readonly size: number;
  readonly artifactType?: string;
  readonly annotations?: Readonly<Record<string, string>>;
}

/** Which manifests of a repository refer to which subject, by a record for each. */
export class Referrers {
  readonly #backend: Backend;

  constructor(backend: Backend) {
    this.#backend = backend;
  }

  async add(repository: Repository, subject: Digest, referrer: Referrer): Promise<void> {
    await this.#backend.put(keyOf(repository, subject, referrer.digest), toJson(referrer), { durable: true });
  }

  /** Up to `limit` of them in the order of their digests, after the one of `after`. */
  async list(
    repository: Repository,
    subject: Digest,
    limit: number,
    after: Digest | undefined,
  ): Promise<readonly Referrer[]> {
    const start = after === undefined ? {} : { after: keyOf(repository, subject, after) };
    const keys = await this.#backend.list(referrersKey(repository, subject), { limit, ...start });
    const found = await Promise.all(keys.map((key) => this.#backend.get(key)));
    return found.flatMap((record) => (record && toReferrer(record.bytes)) ?? []);
  }
}

function keyOf(repository: Repository, subject: Digest, digest: Digest): string {
  return referrersKey(repository, subject) + digest.replace(':', '-');
}

/** Written by us alone; what is not whole is left out. */
function toReferrer(bytes: Uint8Array): Referrer | undefined {
  const record = parseObject(bytes);
  const isWhole = typeof record?.digest === 'string' && parseDigest(record.digest) !== undefined;
  return isWhole ? (record as unknown as Referrer) : undefined;
}
