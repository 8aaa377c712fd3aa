import { publish } from '../events.ts';
import { UpstreamError } from './contract.ts';

/** Keeps an upstream that said "too many requests" from being asked again too early, for each principal. */
export class CoolDown {
  readonly #name: string;
  readonly #until = new Map<string, { readonly time: number; readonly error: UpstreamError }>();

  constructor(name: string) {
    this.#name = name;
  }

  /** Throws what the upstream said, with the seconds that remain, while `principal` has to wait. */
  check(principal: string): void {
    const entry = this.#until.get(principal);
    if (entry === undefined) return;
    const remaining = (entry.time - performance.now()) / 1_000;
    if (remaining <= 0) {
      this.#until.delete(principal);
      return;
    }
    const { message, status, body } = entry.error;
    throw new UpstreamError('throttled', message, { status: status ?? 429, body, retryAfter: Math.ceil(remaining) });
  }

  /** Begins the wait that an upstream's `throttled` error asks for; every other error is ignored, limits of our own too. */
  note(principal: string, error: unknown): void {
    if (!(error instanceof UpstreamError) || error.failure !== 'throttled' || error.status === undefined) return;
    const now = performance.now();
    for (const [waiting, { time }] of this.#until) if (time <= now) this.#until.delete(waiting);
    if (this.#until.has(principal)) return;
    const seconds = error.retryAfter ?? 0;
    this.#until.set(principal, { time: now + seconds * 1_000, error });
    publish('coolDown', { upstream: this.#name, principal, until: Date.now() + seconds * 1_000 });
    const message = `${this.#name} answers "too many requests"; not asking again for ${seconds} s`;
    publish('notice', { level: 'warn', message });
  }
}
