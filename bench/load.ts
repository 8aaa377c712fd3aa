import { Connection, type Target } from './connection.ts';
import type { Fetched, Job, Pressed } from './loaders.ts';

/** A process that asks: as fast as answers come for a while, or once on each of its connections. */
process.on('message', async (job: Job) => {
  try {
    process.send?.(job.kind === 'press' ? await press(job) : await fetchOnce(job));
  } catch (error) {
    process.send?.({ failed: String(error) });
  }
});
process.once('disconnect', () => process.exit());

const now = (): number => performance.timeOrigin + performance.now();

async function press(job: Job & { kind: 'press' }): Promise<Pressed> {
  let [bytes, requests, turn] = [0, 0, 0];
  const latencies: number[] = [];
  const { promise: failed, reject } = Promise.withResolvers<never>();
  const isCounted = (): boolean => {
    const at = now();
    return at >= job.startAt && at < job.endAt;
  };
  const next = (connection: Connection): void => connection.get(job.paths[turn++ % job.paths.length] ?? '');
  const connections = await open(job.target, job.connections, (at) => ({
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
  return { bytes, requests, p99: latencies.sort((a, b) => a - b)[Math.floor(latencies.length * 0.99)] ?? Number.NaN };
}

async function fetchOnce(job: Job & { kind: 'fetch' }): Promise<Fetched[]> {
  const answers = Array.from({ length: job.connections }, () => Promise.withResolvers<Fetched>());
  const connections = await open(job.target, job.connections, (at) => ({
    received: () => undefined,
    done: (firstByte, total) => answers[at]?.resolve({ firstByte, total }),
    failed: (error) => answers[at]?.reject(error),
  }));
  try {
    for (const connection of connections) connection.get(job.path);
    return await Promise.all(answers.map(({ promise }) => promise));
  } finally {
    for (const connection of connections) connection.close();
  }
}

function open(
  target: Target,
  count: number,
  watch: (at: number) => Parameters<typeof Connection.open>[1],
): Promise<Connection[]> {
  return Promise.all(Array.from({ length: count }, (_, at) => Connection.open(target, watch(at))));
}

function until(instant: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, Math.max(0, instant - now())));
}
