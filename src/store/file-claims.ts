import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { type Claim, type Claims, type Holding, STALE_AFTER } from './claim.ts';
import { ClaimFile, holdingAt } from './claim-file.ts';
import { assertKey } from './key.ts';

/** Milliseconds between two signs of life, at least. */
const HEARTBEAT = 2_000;

/**
 * Claims between processes, as a file for each name in a shared local directory. The claim of a process that ended
 * on this host is free at once; one that elsewhere shows no progress, after ten seconds.
 */
export class FileClaims implements Claims {
  readonly #directory: string;
  readonly #staleAfter: number;
  readonly #heartbeat: number;

  /** `directory`: absolute path; made when first needed. Times in milliseconds. */
  constructor(directory: string, options: { readonly staleAfter?: number; readonly heartbeat?: number } = {}) {
    this.#directory = directory;
    this.#staleAfter = options.staleAfter ?? STALE_AFTER;
    this.#heartbeat = options.heartbeat ?? HEARTBEAT;
  }

  async acquire(name: string): Promise<Claim | undefined> {
    const file = await ClaimFile.take(this.#path(name), name, this.#staleAfter);
    return file === undefined ? undefined : new FileClaim(file, this.#heartbeat);
  }

  holding(name: string): Promise<Holding | undefined> {
    return holdingAt(this.#path(name), this.#staleAfter);
  }

  #path(name: string): string {
    assertKey(name);
    return join(this.#directory, createHash('sha256').update(name).digest('hex'));
  }
}

class FileClaim implements Claim {
  readonly #file: ClaimFile;
  readonly #heartbeat: number;
  readonly #lost = new AbortController();
  #beat = performance.now();
  #noted: Promise<void> = Promise.resolve();
  #released: Promise<void> | undefined;
  readonly left: Uint8Array | undefined;

  constructor(file: ClaimFile, heartbeat: number) {
    this.#file = file;
    this.left = file.left;
    this.#heartbeat = heartbeat;
  }

  get lost(): AbortSignal {
    return this.#lost.signal;
  }

  progress(): void {
    const now = performance.now();
    if (this.#released !== undefined || now - this.#beat < this.#heartbeat) return;
    this.#beat = now;
    // A claim whose sign of life fails goes stale, which is what it is for.
    if (this.isHeld()) this.#file.touch().catch(() => undefined);
  }

  isHeld(): boolean {
    const isHeld = this.#file.isHeld();
    if (!isHeld && this.#released === undefined) this.#lost.abort();
    return isHeld;
  }

  /** One after the other, so that the last one stays. */
  note(note: Uint8Array): Promise<void> {
    const noted = this.#noted.then(() => (this.isHeld() ? this.#file.note(note) : undefined));
    this.#noted = noted.catch(() => undefined);
    return noted;
  }

  release(): Promise<void> {
    this.#released ??= this.#noted.then(() => this.#file.release());
    return this.#released;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.release();
  }
}
