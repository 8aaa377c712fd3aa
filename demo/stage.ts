import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import type { LocalUpstream } from '../test/support/gateway-process.ts';

export const REPOSITORY = 'library/demo';
export const PLATFORMS = ['linux/amd64', 'linux/arm64'];
/** Bytes of random filler in each platform's layers. */
export const LAYERS = [16e6, 8e6, 5e6, 3e6];
/** Milliseconds before each answer, and bytes per second of each CDN connection: a registry that is not next door. */
export const DISTANCE = { latency: 30, bytesPerSecond: 12e6 };

/** What the upstream says of itself when it is up. */
export interface Stage extends LocalUpstream {
  readonly ca: string;
  /** Of the image's index. */
  readonly digest: string;
  /** How many blobs the image has for a platform, and their bytes. */
  readonly platforms: Readonly<Record<string, { readonly blobs: number; readonly bytes: number }>>;
}

/** What was asked of the upstream since the last tally. */
export interface Tally {
  readonly requests: number;
  /** Questions for content: everything but pings and tokens. */
  readonly questions: number;
  /** Blobs that were sent. */
  readonly blobs: number;
  /** Bytes of all bodies, and of blobs alone. */
  readonly bytes: number;
  readonly blobBytes: number;
}

export type Order = 'tally' | 'cut off';

/** The registry that the demo pulls from, in a process of its own so that nobody's timing disturbs another's. */
export class Upstream implements Disposable {
  readonly stage: Stage;
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess, stage: Stage) {
    this.#child = child;
    this.stage = stage;
  }

  static async start(): Promise<Upstream> {
    const child = fork(new URL(import.meta.resolve('./upstream.ts')));
    const [stage] = await Promise.race([once(child, 'message'), once(child, 'exit').then(() => [])]);
    if (stage === undefined) throw new Error('the upstream of the demo did not start');
    return new Upstream(child, stage as Stage);
  }

  /** Says what was asked of it since the last time. */
  tally(): Promise<Tally> {
    return this.#ask('tally');
  }

  /** From now on its ports refuse connections. */
  async cutOff(): Promise<void> {
    await this.#ask('cut off');
  }

  [Symbol.dispose](): void {
    if (this.#child.connected) this.#child.disconnect();
  }

  async #ask(order: Order): Promise<Tally> {
    const answer = once(this.#child, 'message');
    this.#child.send(order);
    const [tally] = await answer;
    return tally as Tally;
  }
}
