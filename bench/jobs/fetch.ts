import { Connection } from '../connection.ts';
import { quantile } from '../measures.ts';
import type { Drained, Fetched, Job } from './job.ts';

/** Asks for the same on each of so many open connections, all at the same moment. */
export async function fetchOnce(job: Job & { kind: 'fetch' }): Promise<Fetched[]> {
  const answers = Array.from({ length: job.connections }, () => Promise.withResolvers<Fetched>());
  const connections = await Connection.several(job.target, job.connections, (at) => ({
    received: () => undefined,
    done: (firstByte, total) => answers[at]?.resolve({ firstByte, total }),
    failed: (error) => answers[at]?.reject(error),
  }));
  try {
    for (const connection of connections) connection.ask(job.request);
    return await Promise.all(answers.map(({ promise }) => promise));
  } finally {
    for (const connection of connections) connection.close();
  }
}

/** Makes every visit once: its requests one after the other on one of the open connections, the first that is free. */
export async function drain(job: Job & { kind: 'drain' }): Promise<Drained> {
  const waiting = job.visits.map((visit) => [...visit]).toReversed();
  const current: (typeof waiting)[number][] = Array.from({ length: job.connections }, () => []);
  const latencies: number[] = [];
  const { promise: drained, resolve, reject } = Promise.withResolvers<void>();
  let left = waiting.reduce((sum, visit) => sum + visit.length, 0);
  const next = (at: number): void => {
    if (current[at]?.length === 0) current[at] = waiting.pop() ?? [];
    const request = current[at]?.shift();
    if (request !== undefined) connections[at]?.ask(request);
  };
  const connections = await Connection.several(job.target, job.connections, (at) => ({
    received: () => undefined,
    done: (_, total) => {
      latencies.push(total);
      if (--left === 0) resolve();
      else next(at);
    },
    failed: reject,
  }));
  const started = performance.now();
  try {
    for (const at of connections.keys()) next(at);
    await drained;
    const total = performance.now() - started;
    return { total, p50: quantile(latencies, 0.5), p99: quantile(latencies, 0.99) };
  } finally {
    for (const connection of connections) connection.close();
  }
}
