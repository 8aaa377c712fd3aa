import type { ContentAnswer } from '../cache/answer.ts';
import type { Digest } from '../oci/digest.ts';
import { RegistryError } from '../oci/error.ts';
import type { Repository } from '../oci/route.ts';
import type { Exchange } from '../registry/exchange.ts';
import type { Content } from '../store/content.ts';
import { troubleOf } from '../store/trouble.ts';
import type { Catalog } from './catalog.ts';
import type { Referrers } from './referrers.ts';
import type { Sessions } from './sessions.ts';

/** What the endpoints of hosted repositories work with. */
export interface Hosted {
  /** Of what is hosted; durable. */
  readonly content: Content;
  readonly sessions: Sessions;
  readonly catalog: Catalog;
  readonly referrers: Referrers;
  /** Whether something may be deleted in the repository of this name. */
  readonly mayDelete: (name: string) => boolean;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /**
   * A blob that was cached and that this caller may read at `from`, or anybody somewhere when that is undefined, as
   * far as no upstream has to be asked.
   */
  readonly lend: (
    exchange: Exchange,
    digest: Digest,
    from: Repository | undefined,
  ) => Promise<ContentAnswer | undefined>;
}

/** How answers of hosted repositories are logged: no cache is concerned. */
export const SERVED = { cache: 'none', why: 'hosted' } as const;
export const PUSHED = { cache: 'none', why: 'pushed' } as const;

/** Gives a failure of the disk the form that a client is told. */
export async function kept<Value>(writing: Promise<Value>): Promise<Value> {
  try {
    return await writing;
  } catch (error) {
    const trouble = troubleOf(error);
    if (trouble === undefined) throw error;
    throw new RegistryError('STORAGE', `the registry cannot write to its disk (${trouble})`, { cause: error });
  }
}
