import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import type { Target } from './connection.ts';

/** PEM. */
export interface Certificate {
  readonly cert: string;
  readonly key: string;
}

/** How the upstream hands something out: as fast as it goes unless given. */
export interface Pace {
  /** Of each answer, so that a second connection gets as much again. */
  readonly bytesPerSecond?: number;
  /** Milliseconds before it answers. */
  readonly delay?: number;
}

interface Seeded {
  readonly seed: string;
  readonly size: number;
}

/** Something that the upstream holds: a text, bytes without meaning, or a tar archive with one file of them. */
export interface Item {
  readonly text?: string;
  readonly bytes?: Seeded;
  readonly file?: Seeded;
  /** A blob's unless given. */
  readonly mediaType?: string;
  readonly tag?: string;
  readonly pace?: Pace;
}

export interface Stored {
  readonly digest: string;
  /** Bytes. */
  readonly size: number;
}

/** Requests, and bytes of bodies sent. */
export interface Tally {
  readonly gets: number;
  readonly heads: number;
  readonly bytes: number;
}

export type Order =
  | { readonly kind: 'listen'; readonly certificate: Certificate }
  | { readonly kind: 'add'; readonly item: Item }
  | { readonly kind: 'tally'; readonly digest?: string };

/** An upstream in a process of its own. */
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

  async add(item: Item): Promise<Stored> {
    return (await ask(this.#child, { kind: 'add', item })) as Stored;
  }

  /** What it was asked so far, for a digest (also by tag) or for everything. */
  async tally(digest?: string): Promise<Tally> {
    return (await ask(this.#child, { kind: 'tally', ...(digest !== undefined && { digest }) })) as Tally;
  }

  /** It still takes connections, and never says anything again. */
  freeze(): void {
    this.#child.kill('SIGSTOP');
  }

  [Symbol.dispose](): void {
    this.#child.kill('SIGKILL');
  }
}

async function ask(child: ChildProcess, order: Order): Promise<unknown> {
  const answered = once(child, 'message');
  child.send(order);
  return (await answered)[0];
}
