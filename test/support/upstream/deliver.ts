import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Content } from '../content.ts';
import type { Answer } from './exchange.ts';
import type { Effect, Hit, LengthLie } from './fault.ts';

const STEP = 256 * 1024;

/** Where an answer goes, and how its connection is broken. */
export interface Line {
  readonly response: ServerResponse;
  /** Whether the request was a HEAD. */
  readonly head: boolean;
  reset(): void;
  sent(bytes: number): void;
}

/** Writes an answer to its connection, with whatever is to go wrong on the way. */
export async function deliver(line: Line, answer: Answer, { effect, released }: Hit): Promise<void> {
  const { response } = line;
  const size = answer.content?.size ?? 0;
  if (effect.length === 'until-close' || effect.length === 'unterminated') response.shouldKeepAlive = false;
  if (effect.length === 'until-close') response.useChunkedEncodingByDefault = false;
  response.writeHead(answer.status, [...headerLines(answer, framing(effect.length, size, answer.status))]);
  if (line.head || answer.content === undefined) {
    response.end();
    return;
  }
  response.flushHeaders();
  const end = Math.min(size, effect.cutAfter ?? size);
  const whole = await sendBody(line, answer.content, end, effect, released);
  if (!whole) return;
  if (end < size || effect.cutAfter === end) cut(line, effect.cutBy ?? 'fin');
  else if (effect.length === 'long' || effect.length === 'unterminated' || typeof effect.length === 'object') {
    cut(line, 'fin');
  } else response.end();
}

/** Ends a connection in the middle of an answer. */
export function cut({ response, reset }: Pick<Line, 'response' | 'reset'>, by: 'fin' | 'rst'): void {
  if (by === 'fin') response.socket?.end();
  else setTimeout(reset, 5);
}

/** Sends content up to `end`; `false` when the client left first. */
async function sendBody(
  line: Line,
  content: Content,
  end: number,
  effect: Effect,
  released: Promise<unknown>,
): Promise<boolean> {
  const rate = effect.bytesPerSecond;
  const step = rate === undefined ? STEP : Math.max(1, Math.min(STEP, Math.floor(rate / 20)));
  const started = performance.now();
  const stallAt = effect.stallAfter ?? Infinity;
  for (let at = 0; at < end || at === stallAt; ) {
    if (at === stallAt) {
      await Promise.race([released, closed(line.response)]);
      if (at >= end) break;
    }
    const next = Math.min(end, at + step, at < stallAt ? stallAt : Infinity);
    if (!(await write(line, content.read(at, next)))) return false;
    at = next;
    if (rate !== undefined) await sleep(Math.max(1, (at / rate) * 1000 - (performance.now() - started)));
  }
  return !line.response.destroyed;
}

/** Resolves when the bytes are with the kernel; `false` when the connection is gone. */
async function write({ response, sent }: Line, bytes: Buffer): Promise<boolean> {
  if (response.destroyed) return false;
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const gone = () => resolve(false);
  response.once('close', gone);
  response.write(bytes, (error) => {
    if (error === null || error === undefined) sent(bytes.length);
    resolve(error === null || error === undefined);
  });
  const written = await promise;
  response.off('close', gone);
  return written;
}

async function closed(response: ServerResponse): Promise<void> {
  if (!response.destroyed) await once(response, 'close');
}

function framing(lie: LengthLie | undefined, size: number, status: number): string[] {
  if (typeof lie === 'object') return [lie.value];
  switch (lie) {
    case 'long':
      return [`${size + 10}`];
    case 'short':
      return [`${Math.max(0, size - 10)}`];
    case 'duplicate':
      return [`${size}`, `${size + 1}`];
    case 'chunked':
    case 'unterminated':
    case 'until-close':
      return [];
    case undefined:
      return status === 204 ? [] : [`${size}`];
  }
}

function* headerLines(answer: Answer, lengths: readonly string[]): Generator<string> {
  for (const [name, value] of Object.entries(answer.headers ?? {})) {
    for (const line of typeof value === 'string' ? [value] : value) yield* [name, line];
  }
  for (const length of lengths) yield* ['content-length', length];
}
