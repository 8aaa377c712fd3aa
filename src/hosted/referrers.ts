import { type Digest, parseDigest } from '../oci/digest.ts';
import type { Repository } from '../oci/route.ts';
import type { Backend } from '../store/backend.ts';
import { referrersKey } from '../store/content-key.ts';
import { parseObject, toJson } from '../store/json.ts';

const BATCH = 16;

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

  async remove(repository: Repository, subject: Digest, referrer: Digest): Promise<void> {
    await this.#backend.remove(keyOf(repository, subject, referrer), { durable: true });
  }

  /** In the order of their digests, after the one of `after`; with the bytes that each has as JSON. */
  async *list(
    repository: Repository,
    subject: Digest,
    after: Digest | undefined,
  ): AsyncGenerator<{ readonly referrer: Referrer; readonly bytes: number }> {
    let start = after === undefined ? undefined : keyOf(repository, subject, after);
    for (;;) {
      const from = start === undefined ? {} : { after: start };
      const keys = await this.#backend.list(referrersKey(repository, subject), { limit: BATCH, ...from });
      const found = await Promise.all(keys.map((key) => this.#backend.get(key)));
      for (const record of found) {
        const referrer = record && toReferrer(record.bytes);
        if (referrer !== undefined) yield { referrer, bytes: record?.bytes.length ?? 0 };
      }
      start = keys.at(-1);
      if (keys.length < BATCH) return;
    }
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
