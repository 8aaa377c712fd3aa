import { Connection } from '../connection.ts';
import { quantile } from '../measures.ts';
import type { Job, Pressed } from './job.ts';

/** Asks for the requests in turn, on each connection for the next as soon as an answer is complete. */
export async function press(job: Job & { kind: 'press' }): Promise<Pressed> {
  let [bytes, requests, turn] = [0, 0, 0];
  const latencies: number[] = [];
  const { promise: failed, reject } = Promise.withResolvers<never>();
  const isCounted = (): boolean => isWithin(job);
  const next = (connection: Connection): void => {
    const request = job.requests[turn++ % job.requests.length];
    if (request !== undefined) connection.ask(request);
  };
  const connections = await Connection.several(job.target, job.connections, (at) => ({
    received: (count) => {
      if (isCounted()) bytes += count;
    },
    done: (_, total) => {
      if (isCounted()) {
        requests++;
        latencies.push(total);
      }
      next(connections[at] as Connection);
    },
    failed: reject,
  }));
  try {
    for (const connection of connections) next(connection);
    await Promise.race([failed, until(job.endAt)]);
  } finally {
    for (const connection of connections) connection.close();
  }
  return { bytes, requests, p50: quantile(latencies, 0.5), p99: quantile(latencies, 0.99) };
}

export function isWithin({ startAt, endAt }: { readonly startAt: number; readonly endAt: number }): boolean {
  const now = performance.timeOrigin + performance.now();
  return now >= startAt && now < endAt;
}

function until(instant: number): Promise<void> {
  return new Promise((resolve) =>
    setTimeout(resolve, Math.max(0, instant - performance.timeOrigin - performance.now())),
  );
}
