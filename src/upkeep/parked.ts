import { publish, subscribe } from '../events.ts';
import { type Claims, fillClaim } from '../store/claim.ts';
import type { ParkedFile, Spool } from '../store/spool.ts';

/** Milliseconds within which somebody may be about to go on with a partial download. */
const RECENT = 60_000;
/** Milliseconds for which changes are gathered before the spool is looked at. */
const GATHER = 1000;

/** Partial downloads that nobody is going on with. */
export class Parked {
  readonly #spool: Spool;
  readonly #claims: Claims;
  readonly #unsubscribe: () => void;
  #gathering: NodeJS.Timeout | undefined;
  #told = 0;

  constructor(spool: Spool, claims: Claims) {
    this.#spool = spool;
    this.#claims = claims;
    const look = (): void => {
      this.#gathering ??= setTimeout(() => this.#look(), GATHER).unref();
    };
    const ends = [
      subscribe('fill', ({ phase }) => {
        if (phase !== 'started' && phase !== 'switched') look();
      }),
      // Other processes go on with what was parked here.
      subscribe('space', ({ phase }) => {
        if (phase === 'state' && this.#told > 0) look();
      }),
    ];
    this.#unsubscribe = () => {
      for (const end of ends) end();
    };
  }

  /** Removes the oldest of them as long as that is `wanted`, but none that was written to a moment ago. */
  async drop(wanted: (file: ParkedFile) => boolean, signal: AbortSignal): Promise<void> {
    const files = [...(await this.#spool.list())];
    for (const file of files.sort((one, other) => one.modified.getTime() - other.modified.getTime())) {
      if (signal.aborted || !wanted(file)) continue;
      if (Math.abs(Date.now() - file.modified.getTime()) > RECENT) await this.#remove(file);
    }
    await this.#tell();
  }

  close(): void {
    clearTimeout(this.#gathering);
    this.#unsubscribe();
  }

  /** On a disk so full that it takes no claim, partial downloads stay, and images have to go. */
  async #remove({ digest }: ParkedFile): Promise<void> {
    await using claim = await this.#claims.acquire(fillClaim(digest)).catch(() => undefined);
    if (claim !== undefined) await this.#spool.drop(digest);
  }

  #look(): void {
    this.#gathering = undefined;
    this.#tell().catch(() => undefined);
  }

  async #tell(): Promise<void> {
    const files = await this.#spool.list();
    this.#told = files.reduce((sum, { bytes }) => sum + bytes, 0);
    publish('parked', { bytes: this.#told });
  }
}
