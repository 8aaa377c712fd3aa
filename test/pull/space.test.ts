import { execFileSync } from 'node:child_process';
import { lstatSync, readdirSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { subscribe } from '../../src/events.ts';
import { type Blob, makeBlob } from '../support/content.ts';
import { TestGateway } from '../support/gateway.ts';
import { blobsOf, makeImage } from '../support/image.ts';
import { pull } from '../support/pull/pull.ts';
import { type FakeUpstream, startUpstream } from '../support/upstream/upstream.ts';
import { eventually, onDisk, settledOnDisk, urlOf } from './doors.ts';

const MIB = 1 << 20;

interface Stage {
  readonly upstream: FakeUpstream;
  readonly gateway: TestGateway;
}

async function stage(t: ExecutionContext, size: string): Promise<Stage> {
  const upstream = await startUpstream({ profile: 'mcr', tls: false });
  t.teardown(() => upstream.close());
  const gateway = await TestGateway.start({ upstreams: [upstream], config: { storage: { size } } });
  t.teardown(() => gateway[Symbol.asyncDispose]());
  return { upstream, gateway };
}

function blobsOn({ upstream }: Stage, name: string, sizes: readonly number[]): Blob[] {
  return sizes.map((size, index) => {
    const blob = makeBlob(`${name} ${index}`, size);
    upstream.addBlob('library/nginx', blob);
    return blob;
  });
}

function urlFor({ gateway }: Stage, { digest }: Blob): string {
  return urlOf(gateway, 'path', 'mcr.microsoft.com', 'library/nginx', `blobs/${digest}`);
}

/** Bytes on disk as `du` counts them, also while files move from the spool to the cache. */
function allocated({ gateway }: Stage): number {
  const seen = new Map<bigint, number>();
  const visit = (path: string): void => {
    const found = lstatSync(path, { bigint: true, throwIfNoEntry: false });
    if (found === undefined) return;
    seen.set(found.ino, Number(found.blocks) * 512);
    if (!found.isDirectory()) return;
    for (const name of readdirSync(path)) visit(join(path, name));
  };
  for (const name of ['cache', 'spool']) visit(join(gateway.dir, 'data', name));
  return [...seen.values()].reduce((sum, bytes) => sum + bytes, 0);
}

/** What the account says is on disk at most. */
async function accounted({ gateway }: Stage): Promise<number> {
  const { used, draws } = JSON.parse(await readFile(join(gateway.dir, 'data', 'cache', '.space'), 'utf8')) as {
    readonly used: number;
    readonly draws: Readonly<Record<string, { readonly bytes: number }>>;
  };
  return Object.values(draws).reduce((sum, { bytes }) => sum + bytes, used);
}

test.serial(
  'pulls of more than fits never take more disk than the size, and bring every client its bytes',
  async (t) => {
    const on = await stage(t, '20m');
    const sizes = Array.from({ length: 48 }, (_, index) => [3 * MIB, 700_000, 1000, 1.5 * MIB][index % 4] ?? 0);
    const blobs = blobsOn(on, 'many', sizes);
    const queue = [...blobs.entries()];
    const clients = Array.from({ length: 8 }, async () => {
      for (let next = queue.pop(); next !== undefined; next = queue.pop()) {
        const [index, blob] = next;
        if (index % 8 === 4) {
          const signal = AbortSignal.timeout(15);
          await on.gateway.client.request(urlFor(on, blob), { signal }).catch(() => undefined);
          continue;
        }
        const { status, digest } = await on.gateway.client.request(urlFor(on, blob));
        t.deepEqual([status, digest], [200, blob.digest]);
      }
    });
    let most = 0;
    const pulled = Promise.all(clients).then(() => true);
    for (let isOver = false; !isOver; isOver = await Promise.race([pulled, sleep(2, false)])) {
      const now = allocated(on);
      most = Math.max(most, now);
      t.true(now <= 20 * MIB, `${now} bytes are on disk`);
    }
    t.true(most > 14 * MIB, `of 20 MiB only ${most} bytes were used`);
    await on.gateway.down();
    const du = execFileSync('du', ['-s', '-c', '-B1', 'cache', 'spool'], { cwd: join(on.gateway.dir, 'data') });
    const counted = Number(/(\d+)\s+total/.exec(du.toString())?.[1]);
    const known = await accounted(on);
    t.true(counted <= known && known <= 20 * MIB, `du counts ${counted}, the account says ${known}`);
    t.true(known - counted < 3 * MIB, `du counts ${counted}, the account says ${known}`);
    await on.gateway.up();
  },
);

test.serial(
  'a blob larger than the cache passes through, says so in the log, and is in the way of nothing',
  async (t) => {
    const on = await stage(t, '8m');
    const [large] = blobsOn(on, 'too large for it', [9 * MIB]);
    if (large === undefined) return t.fail();
    for (let times = 0; times < 2; times++) {
      const { headers, digest } = await on.gateway.client.request(urlFor(on, large));
      t.is(digest, large.digest);
      t.regex(String(headers['cache-status']), /fwd=bypass/);
    }
    t.deepEqual(await onDisk(on.gateway, large.digest), []);
    const image = makeImage({ layers: [2 * MIB, 1000] });
    on.upstream.add('library/nginx', image);
    for (let times = 0; times < 2; times++) {
      const { digest } = await pull('containerd', {
        client: on.gateway.client,
        registry: 'https://mcr.microsoft.com',
        repository: 'library/nginx',
        reference: 'latest',
      });
      t.is(digest, image.digest);
    }
    t.is(await onDisk(on.gateway, image.digest).then((files) => files.length), 1);
    const log = await eventually(
      () => readFile(join(on.gateway.dir, 'access.log'), 'utf8'),
      (text) => text.includes('no-space'),
    );
    t.regex(log, /"cache":"bypass","why":"no-space"/);
  },
);

test.serial('a partial download is counted while it waits, and once when it went on', async (t) => {
  const on = await stage(t, '8m');
  const [blob] = blobsOn(on, 'half', [5 * MIB]);
  if (blob === undefined) return t.fail();
  const stall = on.upstream.fault({ role: 'cdn', reference: blob.digest }, { stallAfter: 4 * MIB });
  const going = new AbortController();
  const first = on.gateway.client.request(urlFor(on, blob), { signal: going.signal });
  first.catch(() => undefined);
  await eventually(
    () => allocated(on),
    (bytes) => bytes > 4 * MIB,
  );
  await on.gateway.down();
  const waiting = await accounted(on);
  t.true(waiting >= 4 * MIB && waiting < 5 * MIB, `${waiting}`);
  going.abort();
  stall.release();
  await on.gateway.up();
  t.is((await on.gateway.client.request(urlFor(on, blob))).digest, blob.digest);
  t.is((await settledOnDisk(on.gateway, blob.digest)).length, 1);
  await on.gateway.down();
  const known = await accounted(on);
  t.true(known >= 5 * MIB && known < 6 * MIB, `${known}`);
  await on.gateway.up();
});

test.serial('stored and used content is told', async (t) => {
  const on = await stage(t, '50g');
  const told: string[] = [];
  const image = makeImage({ layers: [300_000] });
  t.teardown(
    subscribe('content', ({ phase, digest, repository, children }) => {
      const what = digest === image.digest ? `manifest of ${children?.length}` : 'blob';
      if (phase === 'stored') told.push(`${what} stored`);
      else told.push(`${digest === image.digest ? 'manifest' : 'blob'} ${phase} ${repository}`);
    }),
  );
  on.upstream.add('library/nginx', image);
  const [layer = ''] = blobsOf(image);
  const url = (rest: string): string => urlOf(on.gateway, 'path', 'mcr.microsoft.com', 'library/nginx', rest);
  await on.gateway.client.request(url(`manifests/${image.digest}`));
  await on.gateway.client.request(url(`blobs/${layer}`));
  await eventually(
    () => told.length,
    (length) => length === 3,
  );
  // A blob is used while it comes, and stored when it is there.
  const cold = told.splice(0).sort();
  for (const method of ['GET', 'HEAD'] as const) {
    await on.gateway.client.request(url(`manifests/${image.digest}`), { method });
    await on.gateway.client.request(url(`blobs/${layer}`), { method });
  }
  const used = ['manifest used mcr.microsoft.com/library/nginx', 'blob used mcr.microsoft.com/library/nginx'];
  t.deepEqual(cold, ['blob stored', 'blob used mcr.microsoft.com/library/nginx', 'manifest of 2 stored']);
  t.deepEqual(told, [...used, ...used]);
});

test.serial('two gateways on one directory take no more than the size together', async (t) => {
  const on = await stage(t, '20m');
  const root = join(on.gateway.dir, 'data');
  const other = await TestGateway.start({ upstreams: [on.upstream], config: { storage: { size: '20m', root } } });
  t.teardown(() => other[Symbol.asyncDispose]());
  const blobs = blobsOn(
    on,
    'shared',
    Array.from({ length: 32 }, (_, index) => (index % 2 === 0 ? 2 * MIB : 500_000)),
  );
  const gateways = [on.gateway, other];
  const clients = gateways.flatMap((gateway, which) =>
    [0, 1, 2].map(async (turn) => {
      for (const [index, blob] of blobs.entries()) {
        if ((index + which) % 3 !== turn) continue;
        const { status, digest } = await gateway.client.request(urlFor({ ...on, gateway }, blob));
        t.deepEqual([status, digest], [200, blob.digest]);
      }
    }),
  );
  let most = 0;
  const pulled = Promise.all(clients).then(() => true);
  for (let isOver = false; !isOver; isOver = await Promise.race([pulled, sleep(2, false)])) {
    most = Math.max(most, allocated(on));
    t.true(most <= 20 * MIB, `${most} bytes are on disk`);
  }
  t.true(most > 10 * MIB, `of 20 MiB only ${most} bytes were used`);
});
