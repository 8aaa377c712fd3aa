import { randomUUID } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Algorithm, Digest } from '../oci/digest.ts';
import { RegistryError } from '../oci/error.ts';
import { type Claim, type Claims, STALE_AFTER } from '../store/claim.ts';
import { entriesOf, sweepTemporaries } from '../store/disk.ts';
import type { PrefixHash } from '../store/prefix-hash.ts';
import { noteSession, readSession, removeSession, SessionFile } from './session-file.ts';

const ID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
/** Milliseconds between two tries to get a session that somebody else writes to, and for how long. */
const TRY_EVERY = 50;
const PATIENCE = STALE_AFTER + 5000;
const BEAT = 1000;
/** Sessions whose running hash this process keeps. */
const KEPT = 1000;

/** Upload sessions as files: they survive this process, and any process that shares the directory goes on with them. */
export class Sessions {
  readonly #directory: string;
  readonly #claims: Claims;
  /** What was hashed here, so that it need not be read back. */
  readonly #hashes = new Map<string, PrefixHash>();

  /** `directory`: absolute path; made when first needed. */
  constructor(directory: string, claims: Claims) {
    this.#directory = directory;
    this.#claims = claims;
  }

  /** Begins a session and returns its identifier. */
  async begin(repository: string, algorithm: Algorithm): Promise<string> {
    const id = randomUUID();
    await noteSession(this.#stem(id), { repository, algorithm, size: 0 });
    return id;
  }

  /** Bytes that a session has safe, without waiting for whoever writes to it. */
  async durable(id: string, repository: string): Promise<number> {
    const found = ID.test(id) ? await readSession(this.#stem(id)) : undefined;
    if (found?.record.repository !== repository) throw unknown();
    return found.record.size;
  }

  /** The session, for this caller alone: another who writes to it is waited for, a dead one not for long. */
  async open(id: string, repository: string, signal: AbortSignal): Promise<Session> {
    await this.durable(id, repository);
    return this.#open(id, await this.#claim(id, signal));
  }

  /** As `open`, but `undefined` where somebody writes to it. */
  async openIdle(id: string, repository: string): Promise<Session | undefined> {
    await this.durable(id, repository);
    const claim = await this.#claims.acquire(claimOf(id));
    return claim && (await this.#open(id, claim));
  }

  /** A session that nobody else can find, for what comes in one piece. */
  async alone(repository: string, algorithm: Algorithm): Promise<Session> {
    const file = await SessionFile.create(this.#stem(randomUUID()), { repository, algorithm, size: 0 });
    return new Session(file, undefined, () => undefined);
  }

  /** Removes sessions, and what is left of unfinished ones, without a write since `olderThan`; returns how many files. */
  async expire(olderThan: Date): Promise<number> {
    let removed = await sweepTemporaries(this.#directory, olderThan);
    const ids = new Set((await entriesOf(this.#directory)).map((name) => name.replace(/\.(?:part|json)$/, '')));
    for (const id of [...ids].filter((name) => ID.test(name))) {
      if (!(await this.#isOlder(id, olderThan))) continue;
      const claim = await this.#claims.acquire(claimOf(id));
      if (claim === undefined) continue;
      await using _held = claim;
      if (!(await this.#isOlder(id, olderThan))) continue;
      await removeSession(this.#stem(id));
      this.#hashes.delete(id);
      removed += 1;
    }
    return removed;
  }

  async #open(id: string, claim: Claim): Promise<Session> {
    try {
      const file = await SessionFile.open(this.#stem(id), this.#takeHash(id));
      if (file === undefined) throw unknown();
      return new Session(file, claim, (hash) => this.#keep(id, hash));
    } catch (error) {
      await claim.release();
      throw error;
    }
  }

  async #claim(id: string, signal: AbortSignal): Promise<Claim> {
    const end = performance.now() + PATIENCE;
    for (;;) {
      const claim = await this.#claims.acquire(claimOf(id));
      if (claim !== undefined) return claim;
      if (performance.now() > end) {
        throw new RegistryError('BLOB_UPLOAD_INVALID', 'another request writes to this upload', { status: 409 });
      }
      await sleep(TRY_EVERY, undefined, { signal });
    }
  }

  async #isOlder(id: string, than: Date): Promise<boolean> {
    const stem = this.#stem(id);
    const found = await Promise.all([`${stem}.part`, `${stem}.json`].map((path) => stat(path).catch(() => undefined)));
    return found.every((file) => file === undefined || file.mtimeMs < than.getTime());
  }

  /** Taken out, so that no two requests feed one hash. */
  #takeHash(id: string): PrefixHash | undefined {
    const hash = this.#hashes.get(id);
    this.#hashes.delete(id);
    return hash;
  }

  #keep(id: string, hash: PrefixHash | undefined): void {
    this.#hashes.delete(id);
    if (hash === undefined) return;
    const [oldest] = this.#hashes.keys();
    if (this.#hashes.size >= KEPT && oldest !== undefined) this.#hashes.delete(oldest);
    this.#hashes.set(id, hash);
  }

  #stem(id: string): string {
    return join(this.#directory, id);
  }
}

/** An upload session in the hands of one request. */
export class Session implements AsyncDisposable {
  readonly #file: SessionFile;
  readonly #claim: Claim | undefined;
  readonly #keep: (hash: PrefixHash | undefined) => void;
  #isOver = false;

  constructor(file: SessionFile, claim: Claim | undefined, keep: (hash: PrefixHash | undefined) => void) {
    this.#file = file;
    this.#claim = claim;
    this.#keep = keep;
  }

  /** Bytes so far. */
  get size(): number {
    return this.#file.size;
  }

  async append(bytes: Uint8Array): Promise<void> {
    this.#assertHeld();
    await this.#file.append(bytes);
    this.#claim?.progress();
  }

  truncate(size: number): Promise<void> {
    this.#assertHeld();
    return this.#file.truncate(size);
  }

  settle(): Promise<void> {
    return this.#alive(() => this.#file.settle());
  }

  digest(algorithm: Algorithm): Promise<Digest> {
    return this.#alive(() => this.#file.digest(algorithm));
  }

  /** Ends the session and has `publish` take its bytes over from a path. */
  async finish(publish: (path: string) => Promise<void>): Promise<void> {
    this.#isOver = true;
    await this.#alive(async () => publish(await this.#file.finish()));
  }

  /** Ends the session and leaves nothing of it. */
  async discard(): Promise<void> {
    this.#isOver = true;
    this.#assertHeld();
    await this.#file.discard();
  }

  /** Leaves the session to the next request. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#keep(this.#isOver || !this.#isHeld() ? undefined : this.#file.hash);
    await this.#file.close();
    await this.#claim?.release();
  }

  /** Says that it is alive while this process has something long to do. */
  async #alive<T>(action: () => Promise<T>): Promise<T> {
    this.#assertHeld();
    const beat = setInterval(() => this.#claim?.progress(), BEAT);
    try {
      return await action();
    } finally {
      clearInterval(beat);
    }
  }

  #isHeld(): boolean {
    return this.#claim?.isHeld() ?? true;
  }

  #assertHeld(): void {
    if (this.#isHeld()) return;
    throw new RegistryError('BLOB_UPLOAD_INVALID', 'another request has taken this upload over', { status: 409 });
  }
}

function claimOf(id: string): string {
  return `uploads/${id}`;
}

function unknown(): RegistryError {
  return new RegistryError('BLOB_UPLOAD_UNKNOWN');
}
