import { rm, stat, writeFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { Client } from '../support/client.ts';
import { type Blob, makeBlob } from '../support/content.ts';
import { blobsOf, type Image, makeImage } from '../support/image.ts';
import { pull } from '../support/pull/pull.ts';
import { type FakeUpstream, startUpstream } from '../support/upstream/upstream.ts';
import { DiskGateway, type DiskOptions, noDisks } from './disk.ts';
import { blobPath, eventually, filesBelow } from './doors.ts';

const MIB = 1 << 20;

interface Stage {
  readonly upstream: FakeUpstream;
  readonly gateway: DiskGateway;
  readonly client: Client;
}

async function stage(
  t: ExecutionContext,
  options: DiskOptions,
  prepare?: (upstream: FakeUpstream) => void,
): Promise<Stage> {
  const upstream = await startUpstream({ profile: 'mcr', tls: false });
  t.teardown(() => upstream.close());
  prepare?.(upstream);
  const gateway = await DiskGateway.start(upstream, options);
  t.teardown(() => gateway[Symbol.asyncDispose]());
  const client = new Client();
  t.teardown(() => client[Symbol.dispose]());
  return { upstream, gateway, client };
}

/** Runs where mounts can be made, and with the program where one is named; says why where not. */
function diskTest(title: string, run: (t: ExecutionContext) => Promise<void>, program?: string): void {
  test.serial(title, async (t) => {
    const reason = noDisks(program);
    if (reason === undefined) return run(t);
    t.log(`skipped: ${reason}`);
    t.pass();
  });
}

function blobOn(upstream: FakeUpstream, name: string, size: number): Blob {
  const blob = makeBlob(name, size);
  upstream.addBlob('library/nginx', blob);
  return blob;
}

async function pullsBlob(t: ExecutionContext, { gateway, client }: Stage, { digest }: Blob): Promise<void> {
  const answer = await client.request(`${gateway.own}/v2/docker.io/library/nginx/blobs/${digest}`);
  t.deepEqual([answer.status, answer.complete, answer.digest], [200, true, digest]);
}

async function pullsImage(t: ExecutionContext, { gateway, client }: Stage, image: Image): Promise<void> {
  const { digest, blobs } = await pull('containerd', {
    client,
    registry: gateway.own,
    repository: 'docker.io/library/nginx',
    reference: image.tags[0] ?? '',
  });
  t.is(digest, image.digest);
  t.deepEqual([...blobs.keys()].sort(), blobsOf(image).sort());
}

async function isStored({ gateway }: Stage, { digest }: Blob): Promise<boolean> {
  return (await filesBelow(gateway.path())).some((path) => path.endsWith(blobPath(digest)));
}

/** Nothing partial lies there, and nothing was published that nobody verified. */
async function isClean(t: ExecutionContext, { gateway }: Stage): Promise<void> {
  const partial = async (): Promise<string[]> =>
    (await filesBelow(gateway.path())).filter((path) => /\.tmp$|\.part$|sha256-[0-9a-f]+\.json$/.test(path));
  t.deepEqual(await eventually(partial, (files) => files.length === 0), []);
}

function troubles({ gateway }: Stage): string[] {
  return gateway.said
    .map(({ message }) => message)
    .filter((message) => /cannot be written|can be written again/.test(message));
}

/** Goes on pulling until what is pulled is kept; no pull on the way is worse for it. */
async function recovers(t: ExecutionContext, on: Stage, code: string): Promise<void> {
  let stored = false;
  for (let turn = 0; turn < 60 && !stored; turn++) {
    const blob = blobOn(on.upstream, `after ${code} ${turn}`, 300_000);
    await pullsBlob(t, on, blob);
    stored = await eventually(() => isStored(on, blob), Boolean, 250);
  }
  t.true(stored, 'nothing is kept although the disk is well');
  await eventually(
    () => troubles(on),
    (told) => told.length % 2 === 0,
  );
  const [begun, over] = troubles(on);
  t.regex(begun ?? '', new RegExp(`data cannot be written \\(${code}\\): .*`));
  t.regex(over ?? '', /data can be written again/);
  const others = on.gateway.said.filter(({ level, message }) => level !== 'info' && !/written|index/.test(message));
  t.deepEqual(others, [], 'one line tells it all');
}

function failing({ gateway, client }: Stage): Promise<number> {
  return client
    .request(`${gateway.admin}/metrics`)
    .then(({ body }) => Number(/^layover_store_disk_failing (\d)/m.exec(body.toString())?.[1]));
}

diskTest(
  'somebody else fills the disk under a running download: it goes on, nothing partial stays, and with room all is kept again',
  async (t) => {
    const on = await stage(t, { mount: 'size=24m' });
    const blob = blobOn(on.upstream, 'under way', 8 * MIB);
    const stall = on.upstream.fault({ role: 'cdn', reference: blob.digest, times: 1 }, { stallAfter: 2 * MIB });
    const pulls = [pullsBlob(t, on, blob), pullsBlob(t, on, blob)];
    await eventually(
      () => on.upstream.bytes({ role: 'cdn', reference: blob.digest }),
      (bytes) => bytes === 2 * MIB,
    );
    const full = await writeFile(on.gateway.path('ballast'), Buffer.alloc(24 * MIB)).catch((error: unknown) => error);
    t.like(full, { code: 'ENOSPC' });
    stall.release();
    await Promise.all(pulls);
    await isClean(t, on);
    t.is(await failing(on), 1);
    const image = makeImage({ seed: 'while full', layers: [300_000, 1000] });
    on.upstream.add('library/nginx', image);
    for (let times = 0; times < 2; times++) await pullsImage(t, on, image);
    await isClean(t, on);
    await rm(on.gateway.path('ballast'));
    await recovers(t, on, 'ENOSPC');
    t.is(await failing(on), 0);
    await pullsImage(t, on, image);
  },
);

diskTest(
  'a disk that is smaller than the size says so by what it has left: what does not fit passes through',
  async (t) => {
    const on = await stage(t, { mount: 'size=6m' });
    for (let turn = 0; turn < 6; turn++) await pullsBlob(t, on, blobOn(on.upstream, `small disk ${turn}`, 2 * MIB));
    t.deepEqual(troubles(on), []);
    await isClean(t, on);
  },
);

diskTest('without inodes left pulls pass through, and are kept when there are some again', async (t) => {
  const on = await stage(t, { mount: 'size=64m,nr_inodes=48' });
  const images = Array.from({ length: 4 }, (_, index) => {
    const image = makeImage({ seed: `inodes ${index}`, layers: [100_000, 1000], tags: [`v${index}`] });
    on.upstream.add('library/nginx', image);
    return image;
  });
  for (const image of [...images, ...images]) await pullsImage(t, on, image);
  t.regex(troubles(on)[0] ?? '', /ENOSPC.*inodes/);
  await on.gateway.remount('nr_inodes=4000');
  let stored = false;
  for (let turn = 0; turn < 60 && !stored; turn++) {
    const blob = blobOn(on.upstream, `inodes again ${turn}`, 100_000);
    await pullsBlob(t, on, blob);
    stored = await eventually(() => isStored(on, blob), Boolean, 250);
  }
  t.true(stored);
  for (const image of images) await pullsImage(t, on, image);
});

diskTest('while the disk is read-only what is stored is served, and everything else passes through', async (t) => {
  const on = await stage(t, { mount: 'size=64m' });
  const image = makeImage({ seed: 'before', layers: [300_000, 1000], tags: ['before'] });
  on.upstream.add('library/nginx', image);
  await pullsImage(t, on, image);
  const unlock = await on.gateway.lock();
  const other = makeImage({ seed: 'meanwhile', layers: [300_000, 1000], tags: ['meanwhile'] });
  on.upstream.add('library/nginx', other);
  for (const each of [image, other, other]) await pullsImage(t, on, each);
  await unlock();
  await recovers(t, on, 'EROFS');
  await isClean(t, on);
});

/** Runs the gateway under strace, which makes system calls on a file fail. */
function injecting(file: string, fault: string): DiskOptions {
  const under = (data: string): string[] => [
    'strace',
    '-D',
    '-f',
    '-qqq',
    '-o',
    '/dev/null',
    '-P',
    `${data}/${file}`,
    '-e',
    `trace=${fault.split(':')[0]}`,
    '-e',
    `inject=${fault}`,
  ];
  return { mount: 'size=64m', under };
}

diskTest(
  'a disk that reports errors of writing stops no pull',
  async (t) => {
    const blob = makeBlob('cannot be written', 3 * MIB);
    const name = `spool/${blob.digest.replace(':', '-')}.part`;
    const on = await stage(t, injecting(name, 'pwrite64:error=EIO:when=2+'), (upstream) =>
      upstream.addBlob('library/nginx', blob),
    );
    await pullsBlob(t, on, blob);
    await isClean(t, on);
    await recovers(t, on, 'EIO');
  },
  'strace',
);

diskTest(
  'a stored blob that the disk cannot read breaks the answer that finds out, and is fetched anew for the next',
  async (t) => {
    const [large, small] = [makeBlob('cannot be read', 3 * MIB), makeBlob('cannot be read either', 1000)];
    for (const blob of [large, small]) {
      const on = await stage(t, injecting(blobPath(blob.digest), 'pread64:error=EIO:when=1'), (upstream) =>
        upstream.addBlob('library/nginx', blob),
      );
      await pullsBlob(t, on, blob);
      await eventually(() => isStored(on, blob), Boolean);
      const url = `${on.gateway.own}/v2/docker.io/library/nginx/blobs/${blob.digest}`;
      // Each of the threads that read meets its error once.
      let whole = 0;
      for (let turn = 0; turn < 12; turn++) {
        const answer = await Promise.race([on.client.request(url), sleep(5000)]);
        if (answer === undefined) return t.fail('the answer hangs');
        if (answer.complete && answer.status === 200) {
          t.is(answer.digest, blob.digest);
          whole++;
        }
      }
      t.true(whole >= (blob === small ? 12 : 4), `${whole} answers of 12 were whole`);
      t.true(on.gateway.said.some(({ message }) => message.includes('the disk cannot read a stored object')));
      t.true(await eventually(() => isStored(on, blob), Boolean));
      t.deepEqual(troubles(on), []);
    }
  },
  'strace',
);

diskTest(
  'a file system that likes to allocate ahead is not let',
  async (t) => {
    const on = await stage(t, { mount: 'xfs' });
    const blob = blobOn(on.upstream, 'ahead', 20 * MIB);
    const stall = on.upstream.fault({ role: 'cdn', reference: blob.digest, times: 1 }, { stallAfter: 12 * MIB });
    const pulled = pullsBlob(t, on, blob);
    const part = on.gateway.path('spool', `${blob.digest.replace(':', '-')}.part`);
    let most = 0;
    const allocated = async (): Promise<number> => {
      const found = await stat(part).catch(() => undefined);
      most = Math.max(most, (found?.blocks ?? 0) * 512);
      return most;
    };
    await eventually(allocated, (bytes) => bytes >= 12 * MIB, 20_000);
    await sleep(100);
    await allocated();
    t.true(most >= 12 * MIB && most < 13 * MIB, `${most}`);
    stall.release();
    await pulled;
  },
  'mkfs.xfs',
);
