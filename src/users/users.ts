import { createHmac, randomBytes } from 'node:crypto';
import { Recent } from '../auth/recent.ts';
import { publish } from '../events.ts';
import { RegistryError } from '../oci/error.ts';
import { Attempts } from './attempts.ts';
import { Comparisons } from './comparisons.ts';
import { UsersFile } from './file.ts';
import { COST } from './hash.ts';
import { type Entry, objectionToPassword } from './htpasswd.ts';

/** Milliseconds for which a password that was right need not be computed again. */
const REMEMBERED_FOR = 60_000;
const REMEMBERED = 1_000;
const DECOY = `${'.'.repeat(22)}${'a'.repeat(31)}`;

/** Who may log in, by an htpasswd file. */
export class Users implements Disposable {
  readonly #file: UsersFile;
  readonly #comparisons = new Comparisons();
  readonly #attempts: Attempts;
  readonly #now: () => number;
  readonly #key = randomBytes(32);
  /** Until when (epoch milliseconds) a password counts that was right for an entry, by HMAC of all three. */
  readonly #right = new Recent<number>(REMEMBERED);
  readonly #running = new Map<string, Promise<boolean>>();

  private constructor(file: UsersFile, now: () => number) {
    this.#file = file;
    this.#attempts = new Attempts(now);
    this.#now = now;
  }

  /** `now`: epoch milliseconds. Throws a readable error when the file is not there or has a mistake. */
  static async open(path: string, now: () => number = Date.now): Promise<Users> {
    return new Users(await UsersFile.open(path), now);
  }

  /** Reads the file now; throws when it cannot be used, and then the users of before stay. */
  reload(): Promise<void> {
    return this.#file.reload();
  }

  /** Stands for a user and the password of this moment: another password, another mark. `undefined`: no such user. */
  async mark(name: string): Promise<string | undefined> {
    const entry = (await this.#file.entries()).get(name);
    return entry && createHmac('sha256', 'mark').update(entry.hash).digest('hex').slice(0, 32);
  }

  /**
   * Whether this is the password of this user; as long in coming for users there are and for those there are not.
   * Throws TOOMANYREQUESTS where it was wrong too often.
   */
  async verify(name: string, password: string): Promise<boolean> {
    const entries = await this.#file.entries();
    const entry = entries.get(name);
    const key = this.#hmac(name, password, entry?.hash ?? '');
    if ((this.#right.get(key) ?? 0) > this.#now()) return true;
    const running =
      this.#running.get(key) ?? this.#compute(name, password, entries).finally(() => this.#running.delete(key));
    this.#running.set(key, running);
    const isRight = await running;
    if (isRight) this.#right.set(key, this.#now() + REMEMBERED_FOR);
    return isRight;
  }

  [Symbol.dispose](): void {
    this.#comparisons[Symbol.dispose]();
  }

  async #compute(name: string, password: string, entries: ReadonlyMap<string, Entry>): Promise<boolean> {
    const entry = entries.get(name);
    const wait = this.#attempts.take(name);
    if (wait > 0) throw limited(name, wait, entry !== undefined);
    // A password that nobody can have is compared too, so that its answer takes as long.
    const isPossible = objectionToPassword(password) === undefined;
    const hash = entry?.hash ?? this.#decoy(name, [...entries.values()]);
    const isEqual = await this.#comparisons.compare(isPossible ? password : '', hash).catch((error: unknown) => {
      this.#attempts.giveBack(name);
      throw error;
    });
    const isRight = isEqual && isPossible && entry !== undefined;
    if (isRight) this.#attempts.giveBack(name);
    publish('login', { result: isRight ? 'accepted' : 'refused' });
    return isRight;
  }

  /** What nobody's password fits, of the cost that some user's has: always the same for a name. */
  #decoy(name: string, entries: readonly Entry[]): string {
    const at = Number.parseInt(this.#hmac(name).slice(0, 8), 16) % Math.max(entries.length, 1);
    return `$2b$${String(entries[at]?.cost ?? COST).padStart(2, '0')}$${DECOY}`;
  }

  #hmac(...parts: readonly string[]): string {
    return createHmac('sha256', this.#key).update(JSON.stringify(parts)).digest('hex');
  }
}

function limited(name: string, wait: number, isKnown: boolean): RegistryError {
  publish('login', { result: 'limited' });
  // Of a name that is nobody's it may be the password.
  if (isKnown) publish('notice', { level: 'warn', message: `too many wrong passwords for user ${name}` });
  const seconds = Math.ceil(wait / 1000);
  return new RegistryError('TOOMANYREQUESTS', `too many wrong passwords for this user: try again in ${seconds} s`, {
    headers: { 'Retry-After': String(seconds) },
  });
}
