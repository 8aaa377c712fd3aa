import type { IncomingMessage, ServerResponse } from 'node:http';
import { RegistryError } from '../oci/error.ts';
import type { RequestBody } from '../registry/exchange.ts';
import { expectsContinue, hasBody } from './request-head.ts';

/** A push of any length goes on while so many bytes come in so many milliseconds of waiting for them. */
export interface Pace {
  readonly bytes: number;
  readonly window: number;
}

const PACE: Pace = { bytes: 60 << 10, window: 60_000 };

/** What a refused client may still send, so that it reads its answer before the connection ends. */
const DISCARDED = { bytes: 8 << 20, milliseconds: 30_000 };

/** The body of a push, without any limit but of its pace: below that it throws a 408. `undefined` where none comes. */
export function requestBody(
  request: IncomingMessage,
  response: ServerResponse,
  pace = PACE,
): { readonly upload?: RequestBody } {
  if (!hasBody(request)) return {};
  const length = request.headers['content-length'];
  return {
    upload: {
      length: length === undefined ? undefined : Number(length),
      [Symbol.asyncIterator]() {
        if (expectsContinue(request)) response.writeContinue();
        return paced(request, pace);
      },
    },
  };
}

/** Whether a client whose bytes are waited for still sends any. Times: milliseconds of a clock that goes forward. */
export class Watch {
  readonly #pace: Pace;
  #came = 0;
  #waited = 0;
  #since: number | undefined;

  constructor(pace: Pace) {
    this.#pace = pace;
  }

  wait(now: number): void {
    this.#since = now;
  }

  /** From here on until the next wait nobody is waiting: what is done with the bytes is not held against the client. */
  came(bytes: number, now: number): void {
    this.#came += bytes;
    this.#waited += now - (this.#since ?? now);
    this.#since = undefined;
  }

  /** To be asked now and then; begins a new window when one is over. */
  isDead(now: number): boolean {
    if (this.#since === undefined || this.#waited + now - this.#since < this.#pace.window) return false;
    const isDead = this.#came < this.#pace.bytes;
    [this.#came, this.#waited, this.#since] = [0, 0, now];
    return isDead;
  }
}

async function* paced(request: IncomingMessage, pace: Pace): AsyncGenerator<Uint8Array> {
  const chunks = request.iterator({ destroyOnReturn: false });
  const watch = new Watch(pace);
  let refuse = (_: unknown): void => undefined;
  const look = (): void => {
    if (!watch.isDead(performance.now())) return;
    refuse(new RegistryError('BAD_REQUEST', 'the body came too slowly', { status: 408 }));
  };
  const timer = setInterval(look, pace.window / 8).unref();
  try {
    for (;;) {
      watch.wait(performance.now());
      const next = await new Promise<IteratorResult<Uint8Array>>((resolve, reject) => {
        refuse = reject;
        chunks.next().then(resolve, reject);
      });
      if (next.done === true) return;
      watch.came(next.value.length, performance.now());
      yield next.value;
    }
  } finally {
    clearInterval(timer);
  }
}

/** Reads on for a moment where a body was refused: who is cut off while sending may never see why. */
export async function discardBody(request: IncomingMessage): Promise<void> {
  if (!hasBody(request) || request.complete || request.destroyed || expectsContinue(request)) return;
  let left = DISCARDED.bytes;
  const timer = setTimeout(() => request.destroy(), DISCARDED.milliseconds);
  try {
    for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Uint8Array>) {
      left -= chunk.length;
      if (left < 0) return;
    }
  } catch {
    // It has gone away.
  } finally {
    clearTimeout(timer);
  }
}
