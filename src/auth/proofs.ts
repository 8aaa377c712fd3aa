import { namespaced, type Repository } from '../oci/route.ts';
import type { Content } from '../store/content.ts';
import type { AccessRecord } from '../store/records.ts';
import { tellFailed } from '../store/trouble.ts';
import { Recent } from './recent.ts';

const REMEMBERED = 50_000;

/** The records of who was seen to read what: on disk, and those in use in memory. */
export class Proofs {
  readonly #content: Content;
  readonly #records = new Recent<Promise<AccessRecord>>(REMEMBERED);

  constructor(content: Content) {
    this.#content = content;
  }

  of(repository: Repository): Promise<AccessRecord> {
    const name = namespaced(repository);
    const known = this.#records.get(name);
    if (known !== undefined) return known;
    return this.#keep(
      name,
      this.#content.access(repository).then((found) => found ?? { proofs: {} }),
    );
  }

  /** What is known counts even where it cannot be written down. */
  async update(repository: Repository, change: (record: AccessRecord | undefined) => AccessRecord): Promise<void> {
    const name = namespaced(repository);
    // Chained at once, so that of two changes at the same time none undoes the other.
    await this.#keep(name, this.of(repository).then(change));
    try {
      await this.#content.updateAccess(repository, change);
    } catch (error) {
      tellFailed(`cannot record who may read ${name}`, error);
    }
  }

  #keep(name: string, record: Promise<AccessRecord>): Promise<AccessRecord> {
    this.#records.set(name, record);
    record.catch(() => {
      if (this.#records.get(name) === record) this.#records.delete(name);
    });
    return record;
  }
}
