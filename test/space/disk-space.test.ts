import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import fc from 'fast-check';
import { subscribe } from '../../src/events.ts';
import { DiskSpace, type Limits } from '../../src/space/disk-space.ts';
import { FileClaims } from '../../src/store/file-claims.ts';
import { NoSpace, type Reservation } from '../../src/store/space.ts';
import { directoryOf } from '../store/directory.ts';

const MIB = 1 << 20;
const SIZE = 32 * MIB;

/** The account of one process, as far as others can tell. */
function openSpace(t: ExecutionContext, root: string, limits: Partial<Limits> = {}): DiskSpace {
  const claims = new FileClaims(join(root, 'spool', 'claims'));
  const paths = { root, cache: join(root, 'cache'), spool: join(root, 'spool') };
  const space = new DiskSpace(paths, claims, { size: SIZE, reserve: 0, high: 1, ...limits });
  t.teardown(() => space[Symbol.asyncDispose]());
  return space;
}

async function reserved(space: DiskSpace, bytes: number): Promise<Reservation> {
  const reservation = await space.reserve(bytes);
  if (reservation === undefined) throw new Error(`${bytes} do not fit`);
  return reservation;
}

interface Write {
  readonly reservation: Reservation;
  readonly bytes: number;
  written: number;
}

/** What lies on a disk that several processes write to, and what they have reserved. */
class Disk {
  readonly files: number[] = [];
  readonly processes: { space: DiskSpace; writes: Write[] }[] = [];

  /** What lies there. */
  get used(): number {
    return this.#sum(({ written }) => written);
  }

  /** And what may come to lie there without anybody being asked again. */
  get promised(): number {
    return this.#sum(({ bytes }) => bytes);
  }

  #sum(of: (write: Write) => number): number {
    const writes = this.processes.flatMap((process) => process.writes);
    return [...this.files, ...writes.map(of)].reduce((sum, bytes) => sum + bytes, 0);
  }

  /** Ends a process as the kernel would; its partial writes stay. */
  crash(index: number, space: DiskSpace): void {
    const process = this.processes[index];
    this.files.push(...(process?.writes ?? []).map(({ written }) => written));
    this.processes[index] = { space, writes: [] };
  }
}

const step = fc.record({
  what: fc.constantFrom(
    'reserve',
    'reserve',
    'record',
    'write',
    'keep',
    'keep',
    'release',
    'remove',
    'crash',
    'stop',
    'recount',
  ),
  who: fc.constantFrom(0, 1),
  which: fc.nat(50),
  bytes: fc.integer({ min: 1, max: 12 * MIB }),
  share: fc.constantFrom(0.3, 1, 1),
});

test('whatever two processes reserve, keep, remove and lose in crashes, never more than the size is on disk, and the account never says less than there is', async (t) => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: 40 }), async (steps) => {
      const root = directoryOf(t);
      const disk = new Disk();
      disk.processes.push({ space: openSpace(t, root), writes: [] }, { space: openSpace(t, root), writes: [] });
      for (const { what, who, which, bytes, share } of steps) {
        const { space, writes } = disk.processes[who] ?? { space: openSpace(t, root), writes: [] };
        const write = writes[which % Math.max(1, writes.length)];
        if (what === 'reserve' || what === 'record') {
          const size = what === 'record' ? 4096 : bytes;
          const open = { bytes: size, written: 0 };
          const reservation =
            what === 'reserve'
              ? await space.reserve(size, { written: () => open.written })
              : await space.record(size).catch(() => undefined);
          if (reservation !== undefined) writes.push(Object.assign(open, { reservation }));
        } else if (what === 'write' && write !== undefined) {
          write.written = Math.max(write.written, Math.floor(write.bytes * share));
        } else if ((what === 'keep' || what === 'release') && write !== undefined) {
          writes.splice(writes.indexOf(write), 1);
          if (what === 'keep') {
            disk.files.push(write.written);
            write.reservation.keep(write.written);
          } else write.reservation.release();
          write.reservation.keep(bytes);
        } else if (what === 'remove' && disk.files.length > 0) {
          const [gone = 0] = disk.files.splice(which % disk.files.length, 1);
          space.freed(gone);
        } else if (what === 'crash') disk.crash(who, openSpace(t, root));
        else if (what === 'stop' && writes.length === 0) {
          await space[Symbol.asyncDispose]();
          disk.crash(who, openSpace(t, root));
        } else if (what === 'recount') await space.recount(async () => disk.used);
        if (disk.promised > SIZE) return false;
      }
      for (const { space } of disk.processes) {
        await space.refresh();
        const { used, reserved: set } = space.state();
        if (used + set < disk.promised) return false;
      }
      return true;
    }),
    { numRuns: 60 },
  );
  t.pass();
});

test('what is given back, removed or counted can be reserved again', async (t) => {
  const space = openSpace(t, directoryOf(t));
  const first = await reserved(space, 20 * MIB);
  t.is(await space.reserve(20 * MIB), undefined);
  first.release();
  (await reserved(space, 20 * MIB)).keep(20 * MIB);
  t.is(await space.reserve(20 * MIB), undefined);
  space.freed(20 * MIB);
  (await reserved(space, 20 * MIB)).keep(20 * MIB);
  t.is(space.state().used, 20 * MIB);
  await space.recount(async () => 2 * MIB);
  t.like(space.state(), { used: 2 * MIB, reserved: 0, trusted: true });
  (await reserved(space, 20 * MIB)).release();
});

test('a reservation takes over what an earlier life has written', async (t) => {
  const space = openSpace(t, directoryOf(t));
  (await reserved(space, 20 * MIB)).keep(15 * MIB);
  const resumed = await space.reserve(20 * MIB, { had: 15 * MIB, written: () => 15 * MIB });
  t.like(space.state(), { used: 0, reserved: 20 * MIB });
  resumed?.keep(20 * MIB);
  t.like(space.state(), { used: 20 * MIB, reserved: 0 });
});

test('a count takes neither twice what is being written, nor misses what comes meanwhile', async (t) => {
  const space = openSpace(t, directoryOf(t));
  const running = await space.reserve(8 * MIB, { written: () => 5 * MIB });
  await space.recount(async () => {
    (await reserved(space, 3 * MIB)).keep(3 * MIB);
    return 7 * MIB;
  });
  t.like(space.state(), { used: 5 * MIB, reserved: 8 * MIB });
  running?.keep(8 * MIB);
  t.is(space.state().used, 13 * MIB);
});

test('what a process drew that has long been gone counts as used, until it was counted', async (t) => {
  const root = directoryOf(t);
  const gone = openSpace(t, root);
  (await reserved(gone, 3 * MIB)).keep(3 * MIB);
  await gone.refresh();
  const path = join(root, 'cache', '.space');
  writeFileSync(path, readFileSync(path, 'utf8').replace(/"at":\d+/, '"at":1'));
  const space = openSpace(t, root);
  (await reserved(space, 4096)).release();
  t.true(space.state().used >= 3 * MIB);
  await space.recount(async () => 3 * MIB);
  t.is(space.state().used, 3 * MIB);
});

test('what a process drew that was killed just now counts no longer than until it was counted', async (t) => {
  const root = directoryOf(t);
  const killed = openSpace(t, root);
  (await reserved(killed, 3 * MIB)).keep(3 * MIB);
  await killed.refresh();
  const path = join(root, 'cache', '.space');
  const figures = readFileSync(path, 'utf8');
  writeFileSync(path, figures.replace(/"uuid":"[^"]+","pid":\d+/, '"uuid":"another","pid":4194304'));
  const space = openSpace(t, root);
  (await reserved(space, 4096)).release();
  t.false(space.state().trusted);
  t.true(space.state().used >= 3 * MIB);
  await space.recount(async () => 3 * MIB);
  t.like(space.state(), { used: 3 * MIB, trusted: true });
});

test('records find space where blobs find none any more, up to the size', async (t) => {
  const space = openSpace(t, directoryOf(t));
  for (let kept = await space.reserve(MIB / 4); kept !== undefined; kept = await space.reserve(MIB / 4))
    kept.keep(MIB / 4);
  let records = 0;
  const error = await t.throwsAsync(
    async () => {
      for (; ; records++) (await space.record(4096)).keep(4096);
    },
    { instanceOf: NoSpace },
  );
  t.truthy(error);
  t.true(records > 100, `${records} records`);
  t.true(space.state().used <= SIZE);
});

test('a clean stop leaves an exact figure, a crash one that is too high by what was drawn', async (t) => {
  const root = directoryOf(t);
  const used = async (space: DiskSpace): Promise<number> => {
    await space.refresh();
    return space.state().used;
  };
  const first = openSpace(t, root);
  (await reserved(first, 5 * MIB)).keep(5 * MIB);
  await first[Symbol.asyncDispose]();
  const second = openSpace(t, root);
  t.is(await used(second), 5 * MIB);
  t.true(second.state().trusted);
  (await reserved(second, 3 * MIB)).keep(3 * MIB);
  const third = openSpace(t, root);
  const bound = await used(third);
  t.true(bound >= 8 * MIB && bound <= 8 * MIB + SIZE / 8, `${bound}`);
});

test('the reserve of the file system is never taken', async (t) => {
  const space = openSpace(t, directoryOf(t), { size: 2 ** 50, reserve: 2 ** 49 });
  t.is(await space.reserve(4096), undefined);
  await t.throwsAsync(space.record(4096), { instanceOf: NoSpace });
  t.is(space.state().limit, 0);
});

test('content without a figure counts as all that the file system has in use, until it was counted', async (t) => {
  const root = directoryOf(t);
  mkdirSync(join(root, 'cache', 'blobs'), { recursive: true });
  const space = openSpace(t, root, { size: 2 ** 50 });
  await space.refresh();
  t.false(space.state().trusted);
  t.true(space.state().used > 0);
  await space.recount(async () => 4096);
  t.like(space.state(), { trusted: true, used: 4096 });
});

test('when the cache is deleted the figure stands, as a bound, until it was counted', async (t) => {
  const root = directoryOf(t);
  const space = openSpace(t, root);
  const other = openSpace(t, root);
  (await reserved(space, 10 * MIB)).keep(10 * MIB);
  await other.refresh();
  rmSync(join(root, 'cache'), { recursive: true });
  for (const each of [space, other]) {
    await each.refresh();
    t.false(each.state().trusted);
    t.true(each.state().used >= 10 * MIB);
  }
  await space.recount(async () => 0);
  await other.refresh();
  t.true(other.state().trusted);
  t.true(other.state().used < 10 * MIB);
});

test('a figure that a power cut damaged, or another directory in the place of the cache, is not trusted', async (t) => {
  const root = directoryOf(t);
  const space = openSpace(t, root);
  (await reserved(space, 10 * MIB)).keep(10 * MIB);
  renameSync(join(root, 'cache'), join(root, 'elsewhere'));
  await space.refresh();
  t.false(space.state().trusted);
  await space.recount(async () => 0);
  t.true(space.state().trusted);
  mkdirSync(join(root, 'cache', 'blobs'));
  const figures = readFileSync(join(root, 'cache', '.space'), 'utf8');
  writeFileSync(join(root, 'cache', '.space'), figures.replace('"used"', '"sued"'));
  const next = openSpace(t, root);
  await next.refresh();
  t.false(next.state().trusted);
});

test('eviction makes room for what waits, and is told how much that is', async (t) => {
  const space = openSpace(t, directoryOf(t), { high: 0.9 });
  (await reserved(space, 25 * MIB)).keep(25 * MIB);
  const wanted: number[] = [];
  let running = 0;
  space.onPressure(async (bytes) => {
    t.is(running++, 0);
    wanted.push(bytes);
    await new Promise((resolve) => setTimeout(resolve, 5));
    if (bytes > 0) space.freed(20 * MIB);
    running--;
  });
  const two = await Promise.all([space.reserve(8 * MIB), space.reserve(8 * MIB)]);
  t.deepEqual(
    two.map((reservation) => reservation !== undefined),
    [true, true],
  );
  t.true(wanted.some((bytes) => bytes >= 8 * MIB));
  wanted.length = 0;
  (await reserved(space, 9 * MIB)).keep(9 * MIB);
  t.deepEqual(wanted, [0], 'above the mark, in the background');
});

test('what could never fit is refused without evicting anything', async (t) => {
  const space = openSpace(t, directoryOf(t));
  (await reserved(space, 5 * MIB)).keep(5 * MIB);
  space.onPressure(async () => t.fail());
  t.is(await space.reserve(SIZE), undefined);
});

test('an eviction that does not end is not waited for long', async (t) => {
  const space = openSpace(t, directoryOf(t));
  (await reserved(space, 25 * MIB)).keep(25 * MIB);
  space.onPressure(() => new Promise(() => {}));
  t.is(await space.reserve(10 * MIB), undefined);
});

test.serial(
  'trouble with the disk is told once, refuses everything, and is over when the disk can be written',
  async (t) => {
    const root = directoryOf(t);
    const space = openSpace(t, root);
    const said: string[] = [];
    t.teardown(subscribe('space', (event) => void (event.phase !== 'state' && said.push(event.phase))));
    t.teardown(subscribe('notice', ({ message }) => void (message.includes(root) && said.push(message))));
    writeFileSync(join(root, 'spool'), '');
    for (let times = 0; times < 3; times++)
      space.failed(new Error('write', { cause: Object.assign(new Error(), { code: 'EROFS' }) }));
    space.failed(Object.assign(new Error(), { code: 'ENOSPC' }));
    t.is(await space.reserve(4096), undefined);
    await t.throwsAsync(space.record(4096), { instanceOf: NoSpace });
    rmSync(join(root, 'spool'));
    while (!said.includes('recovered')) await new Promise((resolve) => setTimeout(resolve, 50));
    const [begin, end] = said.filter((line) => line.includes(root));
    t.regex(begin ?? '', /cannot be written \(EROFS\).*mount its file system writable/);
    t.regex(end ?? '', /can be written again/);
    t.deepEqual(
      said.filter((line) => !line.includes(root)),
      ['failing', 'refused', 'refused', 'recovered'],
    );
    (await reserved(space, 4096)).release();
  },
);

test('what one of several processes draws ahead is its part of what one alone would', async (t) => {
  const drawn = async (processes: number): Promise<number> => {
    const root = directoryOf(t);
    await reserved(openSpace(t, root, { processes }), MIB / 2);
    const { draws } = JSON.parse(readFileSync(join(root, 'cache', '.space'), 'utf8'));
    return Object.values<{ bytes: number }>(draws).reduce((sum, { bytes }) => sum + bytes, 0);
  };
  t.is(await drawn(1), MIB / 2 + SIZE / 16);
  t.is(await drawn(4), MIB / 2 + SIZE / 64);
});
