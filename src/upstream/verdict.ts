import { UpstreamError } from './contract.ts';
import { type Answer, discard, readBody } from './wire.ts';

const ERROR_LIMIT = 65_536;
const DEFAULT_COOL_DOWN = 5;
const LONGEST_COOL_DOWN = 600;

/**
 * Throws for an answer that is none: `throttled` for 429; `unreachable` for 408 and 5xx, transient but for 501. What
 * the upstream said about it is kept for relay.
 */
export async function throwIfFailed(answer: Answer, now = Date.now()): Promise<void> {
  const { status } = answer;
  if (status !== 408 && status !== 429 && status < 500) return;
  const message = `${answer.url.host} answered ${status}`;
  const body = await errorDocument(answer);
  if (status === 429) {
    const retryAfter = parseRetryAfter(answer.headers['retry-after'], now);
    throw new UpstreamError('throttled', message, { status, body, retryAfter });
  }
  throw new UpstreamError('unreachable', message, { status, body, transient: status !== 501 });
}

async function errorDocument(answer: Answer): Promise<UpstreamError['body']> {
  const encoding = answer.headers['content-encoding'] ?? 'identity';
  if (encoding !== 'identity') {
    discard(answer);
    return undefined;
  }
  const bytes = await readBody(answer.body, ERROR_LIMIT);
  if (bytes === undefined || bytes.length === 0) return undefined;
  return { bytes, contentType: answer.headers['content-type'] ?? 'application/octet-stream' };
}

/** Seconds to wait (RFC 9110 §10.2.3): at least 1, at most 600, 5 when the field says nothing usable. */
export function parseRetryAfter(value: string | undefined, now: number): number {
  if (value === undefined) return DEFAULT_COOL_DOWN;
  const seconds = /^\d+$/.test(value.trim()) ? Number(value) : (Date.parse(value) - now) / 1_000;
  if (Number.isNaN(seconds)) return DEFAULT_COOL_DOWN;
  return Math.min(Math.max(Math.ceil(seconds), 1), LONGEST_COOL_DOWN);
}
