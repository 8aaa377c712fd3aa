import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import type { Target } from './connection.ts';

/** PEM. */
export interface Certificate {
  readonly cert: string;
  readonly key: string;
}

export type Content = ({ readonly seed: string; readonly size: number } | { readonly text: string }) & {
  /** A blob's unless given. */
  readonly mediaType?: string;
  /** As fast as it goes unless given. */
  readonly bytesPerSecond?: number;
};

export type Order =
  | { readonly kind: 'listen'; readonly certificate: Certificate }
  | { readonly kind: 'add'; readonly content: Content }
  | { readonly kind: 'gets'; readonly digest: string };

/** The upstream of all servers under test, in a process of its own. */
export class Origin implements Disposable {
  readonly target: Target;
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess, target: Target) {
    this.#child = child;
    this.target = target;
  }

  /** `ca`: PEM of the authority behind the certificate. */
  static async start(certificate: Certificate, ca: string): Promise<Origin> {
    const child = fork(new URL(import.meta.resolve('./origin.ts')));
    return new Origin(child, { port: (await ask(child, { kind: 'listen', certificate })) as number, ca });
  }

  get url(): string {
    return `https://127.0.0.1:${this.target.port}`;
  }

  /** Gives it content; resolves with the digest. */
  async add(content: Content): Promise<string> {
    return (await ask(this.#child, { kind: 'add', content })) as string;
  }

  /** GETs for a digest so far. */
  async gets(digest: string): Promise<number> {
    return (await ask(this.#child, { kind: 'gets', digest })) as number;
  }

  [Symbol.dispose](): void {
    if (this.#child.connected) this.#child.disconnect();
  }
}

async function ask(child: ChildProcess, order: Order): Promise<unknown> {
  const answered = once(child, 'message');
  child.send(order);
  return (await answered)[0];
}
