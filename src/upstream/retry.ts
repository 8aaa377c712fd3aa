import { setTimeout as sleep } from 'node:timers/promises';
import { UpstreamError } from './contract.ts';

const RETRIES = 2;

/**
 * Runs `attempt` until it succeeds, at most three times, 100 to 400 ms apart, as long as it fails with a transient
 * UpstreamError and `worthwhile` says so.
 */
export async function retry<T>(attempt: () => Promise<T>, worthwhile: () => boolean, signal: AbortSignal): Promise<T> {
  for (let retries = 0; ; retries += 1) {
    try {
      return await attempt();
    } catch (error) {
      const transient = error instanceof UpstreamError && error.transient;
      if (!transient || retries === RETRIES || !worthwhile()) throw error;
      await pause(signal);
    }
  }
}

async function pause(signal: AbortSignal): Promise<void> {
  try {
    await sleep(100 + Math.random() * 300, undefined, { signal });
  } catch {
    throw signal.reason;
  }
}
