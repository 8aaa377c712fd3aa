import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { threadCpuUsage } from 'node:process';
import test from 'ava';
import { ContentIndex } from '../../src/index/content-index.ts';
import { type Digest, digestOf } from '../../src/oci/digest.ts';
import { planEviction } from '../../src/upkeep/plan.ts';
import { blobPath, eventually } from '../pull/doors.ts';
import { directoryOf } from '../store/directory.ts';

/** `LAYOVER_SCALE=1000000 npm test test/index/scale.test.ts` shows the figures of a large cache. */
const OBJECTS = Number(process.env.LAYOVER_SCALE ?? 5000);
const LAYERS = 9;

/** Writes images of nine tiny layers, as fast as the disk takes them. */
function fill(root: string, objects: number): void {
  const made = new Set<string>();
  const write = (path: string, bytes: Uint8Array | string): void => {
    const directory = path.slice(0, path.lastIndexOf('/'));
    if (!made.has(directory)) mkdirSync(join(root, directory), { recursive: true });
    made.add(directory);
    writeFileSync(join(root, path), bytes);
  };
  const put = (repository: string, bytes: Buffer, link: string): Digest => {
    const digest = digestOf(bytes);
    write(blobPath(digest), bytes);
    write(`cache/repositories/docker.io/library/${repository}/_links/${digest.replace(':', '/')}`, link);
    return digest;
  };
  for (let image = 0; image * (LAYERS + 1) < objects; image += 1) {
    const repository = `r${image % 1000}`;
    const layers = Array.from({ length: LAYERS }, (_, layer) => ({
      digest: put(repository, Buffer.from(`${image} ${layer}`), ''),
      size: 1,
    }));
    const link = JSON.stringify({ mediaType: 'application/vnd.oci.image.manifest.v1+json' });
    put(repository, Buffer.from(JSON.stringify({ layers })), link);
  }
}

/** Milliseconds that this thread computed while `action` ran, and that passed. */
async function timed<T>(action: () => Promise<T>): Promise<{ value: T; cpu: number; wall: number }> {
  const [before, begun] = [threadCpuUsage(), performance.now()];
  const value = await action();
  const { user, system } = threadCpuUsage(before);
  return { value, cpu: Math.round((user + system) / 1000), wall: Math.round(performance.now() - begun) };
}

test('an index of many objects is made and asked without the thread that serves clients', async (t) => {
  t.timeout(1_800_000);
  const root = directoryOf(t);
  fill(root, OBJECTS);
  const index = new ContentIndex(join(root, 'index'), join(root, 'cache'));
  t.teardown(() => index[Symbol.asyncDispose]());
  const idle = process.memoryUsage.rss();
  let peak = idle;
  const built = await timed(async () => {
    index.start();
    const isReady = (): boolean => {
      peak = Math.max(peak, process.memoryUsage.rss());
      return index.state === 'ready';
    };
    return eventually(isReady, Boolean, 1_700_000);
  });
  t.true(built.value);
  const asked = await timed(() => index.inventory({ repositories: [], digests: [] }));
  const inventory = asked.value;
  if (inventory === undefined) return t.fail('there is no inventory');
  peak = Math.max(peak, process.memoryUsage.rss());
  const planned = await timed(async () => planEviction(inventory, (OBJECTS / 10) * 4096, true));
  const found = await timed(() => index.digests(planned.value.evicted.map((position) => inventory.ids[position] ?? 0)));
  t.is(inventory.ids.length, OBJECTS);
  t.is(planned.value.images, OBJECTS / 100);
  t.is(found.value.length, OBJECTS / 10);
  for (const [what, { cpu, wall }] of Object.entries({ built, asked, planned, found }))
    t.log(`${what}: ${wall} ms, of which this thread computed ${cpu} ms`);
  t.log(`memory: ${idle >> 20} MiB before, ${peak >> 20} MiB at most`);
  // Most of what this thread does while it waits is looking whether it is over yet.
  t.true(built.cpu < Math.max(200, built.wall / 4), `${built.cpu} of ${built.wall} ms`);
});
