import { setTimeout as sleep } from 'node:timers/promises';

/** Milliseconds that one question to the machine or the network may take; set before the first, for slow lines. */
export const patience = { question: 5_000 };

/** What `promise` resolves to; `instead` when it fails or takes longer than `limit` milliseconds. */
export async function bounded<T>(promise: Promise<T>, instead: T, limit = patience.question): Promise<T> {
  const ended = new AbortController();
  const late = sleep(limit, instead, { signal: ended.signal }).catch(() => instead);
  try {
    return await Promise.race([promise.catch(() => instead), late]);
  } finally {
    ended.abort();
  }
}
