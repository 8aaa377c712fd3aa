import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import type { Fill } from '../../src/cache/fill.ts';
import type { Source } from '../../src/cache/source.ts';
import { type Events, subscribe } from '../../src/events.ts';
import { cachedRepository } from '../../src/oci/route.ts';
import type { Identity } from '../../src/upstream/contract.ts';
import { Limit, type Limits } from '../../src/upstream/limit.ts';
import { eventually } from '../pull/doors.ts';
import { directoryOf } from '../store/directory.ts';
import { type Blob, makeBlob, toBytes } from '../support/content.ts';
import type { Fault } from '../support/upstream/fault.ts';
import { type FakeUpstream, startUpstream } from '../support/upstream/upstream.ts';
import { upstreamOf } from '../upstream/support.ts';
import { digestIn, follow, readAll, roomOf } from './room.ts';

const MIB = 1 << 20;
const SIZE = 8 * MIB;
/** What comes before the first answer stalls, so that it is seen to be slow. */
const BEGUN = 100_000;

interface Slow {
  readonly fake: FakeUpstream;
  readonly source: Source;
  readonly fill: Fill;
  /** Holds the first answer back. */
  readonly stall: Fault;
  /** Every byte of the blob as a client gets it. */
  readonly read: Promise<Buffer>;
  /** The ranges that were asked for. */
  readonly ranges: () => readonly (string | undefined)[];
  /** What is noted beside the file in the spool. */
  readonly sidecar: () => Promise<string>;
  /** Bytes that came. */
  readonly received: () => number;
}

/** A fill whose first answer has stalled; `prepare` says what becomes of the further ones. */
async function slowFill(
  t: ExecutionContext,
  blob: Blob,
  parallel: number,
  prepare: (fake: FakeUpstream) => void = () => undefined,
  limits: Limits = {},
  identity: Identity = { kind: 'anonymous' },
): Promise<Slow> {
  const fake = await startUpstream({ profile: 'mcr', tls: false });
  t.teardown(() => fake.close());
  fake.addBlob('library/nginx', blob);
  const stall = fake.fault({ role: 'cdn', times: 1 }, { stallAfter: BEGUN });
  prepare(fake);
  const blobHosts = fake.roles.map((role) => fake.authority(role));
  const name = `${blob.digest.slice(-12)}.example`;
  let bytes = 0;
  const count = (event: Events['upstreamBytes']): void => {
    if (event.upstream === name) bytes += event.bytes;
  };
  t.teardown(subscribe('upstreamBytes', count));
  const limit = new Limit(name);
  limit.set(limits);
  const upstream = upstreamOf(t, { name, urls: [new URL(fake.url())], blobHosts, parallel, limit });
  const repository = cachedRepository(`${name}/library/nginx`);
  const path = `/v2/library/nginx/blobs/${blob.digest}`;
  const source = { upstream, repository, identity, path };
  const dir = directoryOf(t);
  const { fills } = roomOf(t, dir, { alone: 60_000, withAlternative: 60_000 });
  const begun = await fills.begin(digestIn(blob), source);
  if (begun.kind !== 'fill') throw new Error(`no fill but ${begun.kind}`);
  const read = readAll(follow(t, begun.fill, source), SIZE);
  // Not every test waits for it, and with the test ends what it reads.
  read.catch(() => undefined);
  const ranges = () => fake.requests.filter(({ role }) => role === 'cdn').map(({ headers }) => headers.range);
  const sidecar = () => readFile(join(dir, 'spool', `${blob.digest.replace(':', '-')}.json`), 'utf8').catch(() => '');
  return { fake, source, fill: begun.fill, stall, read, ranges, sidecar, received: () => bytes };
}

/** Where the ranges begin that were asked for, in order. */
function starts(ranges: readonly (string | undefined)[]): number[] {
  const texts = ranges.filter((range) => range !== undefined);
  return texts.map((range) => Number(/^bytes=(\d+)-/.exec(range)?.[1])).sort((one, other) => one - other);
}

test('what is slow on one connection comes over several, in pieces next to each other', async (t) => {
  const blob = makeBlob('wide', SIZE);
  const { fill, stall, read, ranges, received, sidecar } = await slowFill(t, blob, 4);
  await eventually(
    () => fill.bytes.has({ start: starts(ranges())[0] ?? 0, end: SIZE }),
    (isThere) => isThere,
    20_000,
  );
  const noted = /"extents":\[\[0,\d+\],\[/;
  t.regex(
    await eventually(sidecar, (text) => noted.test(text), 20_000),
    noted,
    'what would be fetched twice after a crash',
  );
  t.true(fill.bytes.prefix <= BEGUN, 'the first answer still stalls, and is left what comes next');
  stall.release();
  t.true((await read).equals(toBytes(blob.content)));
  t.is(ranges()[0], undefined);
  const begun = starts(ranges());
  t.true(begun.length > 5);
  t.deepEqual(
    begun,
    begun.map((_, at) => (begun[0] ?? 0) + at * MIB),
  );
  t.true(received() < SIZE + MIB, `${received()} bytes, none of them twice`);
});

test('no more connections than allowed are used at a time', async (t) => {
  const pieces: Fault[] = [];
  const slow = await slowFill(t, makeBlob('three', SIZE), 3, (fake) => {
    pieces.push(fake.fault({ role: 'cdn', skip: 1 }, { stallAfter: 1000 }));
  });
  await eventually(
    () => slow.ranges().length,
    (count) => count >= 3,
    20_000,
  );
  await sleep(100);
  t.is(slow.ranges().length, 3);
  for (const stall of [slow.stall, ...pieces]) stall.release();
  t.is((await slow.read).length, SIZE);
});

for (const [why, parallel, limits] of [
  ['where that is not configured', 1, {}],
  ['where requests are limited', 4, { requests: { count: 100, span: 1000 } }],
] as const) {
  test(`one connection is used ${why}`, async (t) => {
    const { stall, read, ranges } = await slowFill(t, makeBlob(why, SIZE), parallel, undefined, limits);
    await sleep(2500);
    stall.release();
    t.is((await read).length, SIZE);
    t.deepEqual(ranges(), [undefined]);
  });
}

for (const [what, effect] of [
  ['refuses', { status: 403 }],
  ['answers with the whole', { ignoreRange: true, stallAfter: 1000 }],
] as const) {
  test(`a source that ${what} when asked for pieces goes on bringing the blob as it began`, async (t) => {
    const blob = makeBlob(what, SIZE);
    const { fake, fill, stall, read, ranges } = await slowFill(t, blob, 4, (upstream) => {
      upstream.fault({ role: 'cdn', skip: 1, times: 100 }, effect);
    });
    await eventually(
      () => ranges().length,
      (count) => count > 1,
      20_000,
    );
    await sleep(3500);
    const asked = ranges().length;
    fake.clearFaults();
    stall.release();
    t.true((await read).equals(toBytes(blob.content)));
    await fill.ended;
    t.is(fill.state, 'committed');
    t.true(asked <= 1 + 3 * 3, 'it was not asked again and again');
  });
}

test('a piece that breaks is gone on with where it broke', async (t) => {
  const blob = makeBlob('broken piece', SIZE);
  const { fake, stall, read } = await slowFill(t, blob, 2, (upstream) => {
    upstream.fault({ role: 'cdn', skip: 1, times: 1 }, { cutAfter: 300_000 });
  });
  await eventually(
    () => fake.count({ role: 'cdn' }),
    (count) => count > 1,
    20_000,
  );
  stall.release();
  t.true((await read).equals(toBytes(blob.content)));
});

test('what nobody reads any more is not asked for once more by the right of who has left', async (t) => {
  const blob = makeBlob('left', SIZE);
  const identity = { kind: 'forward', authorization: 'Bearer of-the-reader', principal: 'reader' } as const;
  const { source, fill, stall, ranges } = await slowFill(t, blob, 4, undefined, {}, identity);
  fill.sources.leave(source);
  await sleep(2500);
  stall.release();
  await fill.ended;
  t.is(fill.state, 'committed');
  t.deepEqual(ranges(), [undefined]);
});
