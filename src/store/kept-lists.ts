import type { Digest } from '../oci/digest.ts';
import type { Repository } from '../oci/route.ts';
import type { Backend } from './backend.ts';
import { referrersKey } from './content-key.ts';
import { asObject, isCount, parseObject, toJson } from './json.ts';

/** What an upstream said refers to a digest when it was last asked. */
export interface KeptList {
  /** Milliseconds since the epoch. */
  readonly checkedAt: number;
  /** An image index; absent where the upstream has no such lists. */
  readonly index?: Readonly<Record<string, unknown>>;
}

/** Lists of referrers of a cached repository, one for each subject. What cannot be read counts as absent. */
export class KeptLists {
  readonly #backend: Backend;

  constructor(backend: Backend) {
    this.#backend = backend;
  }

  async get(repository: Repository, subject: Digest): Promise<KeptList | undefined> {
    const found = await this.#backend.get(keyOf(repository, subject));
    const json = found && parseObject(found.bytes);
    if (!isCount(json?.checkedAt)) return undefined;
    const index = asObject(json.index);
    return { checkedAt: json.checkedAt, ...(index !== undefined && { index }) };
  }

  async put(repository: Repository, subject: Digest, list: KeptList): Promise<void> {
    await this.#backend.put(keyOf(repository, subject), toJson(list));
  }
}

function keyOf(repository: Repository, subject: Digest): string {
  return `${referrersKey(repository, subject)}list`;
}
