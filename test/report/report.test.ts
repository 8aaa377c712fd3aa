import test from 'ava';
import fc from 'fast-check';
import type { CacheResult, RequestEvent } from '../../src/events.ts';
import { Histogram } from '../../src/report/histogram.ts';
import { linesOf } from '../../src/report/lines.ts';
import { readEntry } from '../../src/report/read.ts';
import { Account } from '../../src/report/report.ts';
import { count, noCounts, Tally } from '../../src/report/tally.ts';
import { jsonLine, nginxLine } from '../../src/telemetry/access-log.ts';
import { requestEvent } from '../telemetry/events.ts';
import { FORMATS, logOf, NOON, REQUESTS, reportOf } from './logs.ts';

const TOTALS = { requests: 9, hits: 4, misses: 3, bypasses: 1, failures: 1, bytes: 9 * 1024, saved: 4 * 1024 };

for (const [format, toLine] of Object.entries(FORMATS)) {
  test(`the ${format} format gives hits, misses, bytes and the tables by upstream, image and client`, async (t) => {
    const report = await reportOf(logOf(REQUESTS.map((request) => toLine(request, NOON)).join('')));
    t.deepEqual(report.totals, TOTALS);
    t.is(report.lines, 9);
    t.deepEqual(report.unread, []);
    t.deepEqual(report.upstreams.rows, [{ name: 'docker.io', ...TOTALS }]);
    t.deepEqual(report.images.rows, [{ name: 'docker.io/library/nginx', ...TOTALS }]);
    t.deepEqual(report.clients.rows, [{ name: '192.0.2.7', ...TOTALS }]);
    t.deepEqual(report.times, [{ name: '2026-11-21T12:00:00.000Z', ...TOTALS }]);
    t.is(Date.parse(report.from ?? '') - NOON.getTime(), 0);
  });
}

test('JSON tells why a miss was one, and how long pulls took', async (t) => {
  const report = await reportOf(logOf(REQUESTS.map((request) => jsonLine(request, NOON)).join('')));
  const why = report.reasons.filter(({ cache }) => cache === 'miss').map(({ why }) => why);
  t.deepEqual(why, ['evicted', 'first-time', 'upstream-refused']);
  t.deepEqual(
    report.reasons.find(({ cache }) => cache === 'none'),
    { cache: 'none', why: 'UNAVAILABLE', requests: 1, failures: 1, bytes: 1024 },
  );
  t.is(report.slowest[0]?.why, 'first-time');
  t.is(report.slowest[0]?.total, 5000);
  t.deepEqual(
    report.percentiles.map(({ of }) => of),
    ['hits', 'misses'],
  );
});

test('the nginx format tells no more of a miss than that it was one', async (t) => {
  const report = await reportOf(logOf(REQUESTS.map((request) => nginxLine(request, NOON)).join('')));
  t.deepEqual(
    report.reasons.map(({ cache, why, requests }) => [cache, why, requests]),
    [
      ['miss', undefined, 3],
      ['hit', undefined, 2],
      ['bypass', undefined, 1],
      ['none', undefined, 1],
      ['revalidated', undefined, 1],
      ['stale', undefined, 1],
    ],
  );
  t.deepEqual([report.slowest, report.percentiles], [[], []]);
});

test('by path and by name, an image is the same one in the nginx format', (t) => {
  const image = (path: string): string | undefined => {
    const entry = readEntry(nginxLine(requestEvent({ path }), NOON).trimEnd());
    return typeof entry === 'string' ? entry : entry.image;
  };
  t.is(image('/v2/library/nginx/manifests/1.29'), 'docker.io/library/nginx');
  t.is(image('/v2/docker.io/library/nginx/blobs/sha256:0'), 'docker.io/library/nginx');
  t.is(image('/v2/'), undefined);
});

test('lines of nginx itself are read, with its query strings, its zone and its words for what expired', (t) => {
  const line =
    '10.0.0.9 "21/Nov/2026:14:30:05 +0230" ghcr.io "GET /v2/a/b/manifests/v1?ns=ghcr.io HTTP/2.0" 200 7 "-" "a" subpath:ghcr-images EXPIRED';
  const entry = readEntry(line);
  t.like(entry, { time: NOON.getTime(), image: 'ghcr-images/a/b', reference: 'v1', cache: 'miss', method: 'GET' });
});

const anything = fc.string({ unit: 'binary', maxLength: 30 });
const results = ['hit', 'revalidated', 'stale', 'miss', 'collapsed', 'bypass', 'none'] as const;
const requests = fc
  .record({
    client: anything,
    path: anything,
    host: anything,
    userAgent: anything,
    repository: anything,
    reference: anything,
    why: anything,
    cache: fc.constantFrom<CacheResult>(...results),
    status: fc.integer({ min: 100, max: 599 }),
    bytes: fc.nat({ max: 2 ** 40 }),
    total: fc.double({ min: 0, max: 1e7, noNaN: true }),
  })
  .map((changes): RequestEvent => requestEvent(changes));

test('whatever requests are logged as JSON, the report counts the same as they do', async (t) => {
  await fc.assert(
    fc.asyncProperty(fc.array(requests, { minLength: 1, maxLength: 20 }), fc.nat(400), async (events, cut) => {
      const text = Buffer.from(events.map((event) => jsonLine(event, NOON)).join(''));
      const report = await reportOf(logOf(text.subarray(0, cut), text.subarray(cut)));
      const expected = noCounts();
      for (const event of events) count(expected, { ...event, ...none });
      t.deepEqual(report.totals, expected);
      t.is(report.lines, events.length);
      const names = new Set(events.map(({ client }) => client));
      t.is(report.clients.rows.length, Math.min(names.size, 10));
      const pulls = events.map(({ total }) => Math.round(total * 10) / 10);
      t.is(report.slowest[0]?.total, Math.max(...pulls));
    }),
    { numRuns: 100 },
  );
});

const none = { time: 0, image: undefined, upstream: undefined, reference: undefined };

test('what no line can be read from is counted and named, and the rest is read', async (t) => {
  const good = jsonLine(requestEvent(), NOON);
  const lines = [
    good,
    `${good.slice(0, 50)}\n`,
    '{"level":30,"msg":"ready"}\n',
    '{"time":"2026-11-21T12:00:00Z","client":"a","cache":"hit","status":200,"bytes":-1}\n',
    '127.0.0.1 - - [21/Nov/2026:12:00:05 +0000] "GET / HTTP/1.1" 200 612 "-" "curl"\n',
    '\0\0\0\0\0\n',
    '\n',
    good.replace('2026-', '+012026-'),
    good.trimEnd(),
  ];
  const report = await reportOf(logOf(lines.join('')));
  t.is(report.totals.requests, 2);
  t.is(report.lines, 8);
  t.deepEqual(report.unread, [
    { what: 'damaged JSON', lines: 1, at: ['access.log:2'] },
    { what: 'JSON of something else', lines: 2, at: ['access.log:3', 'access.log:4'] },
    { what: 'in no format of ours', lines: 2, at: ['access.log:5', 'access.log:6'] },
    { what: 'of an impossible time', lines: 1, at: ['access.log:8'] },
  ]);
});

test('a line without an end is not held in memory, and costs only itself', async (t) => {
  const good = jsonLine(requestEvent(), NOON);
  const endless = Array.from({ length: 64 }, () => Buffer.alloc(64 * 1024, '{'));
  const log = logOf(good, ...endless, '\n', good);
  const lengths = (await Array.fromAsync(linesOf(log.read()))).flat().map(({ length }) => length);
  t.is(lengths.length, 3);
  t.true((lengths[1] ?? 0) < 400 * 1024, `${lengths[1]} of 4 MiB`);
  const report = await reportOf(log);
  t.is(report.totals.requests, 2);
  t.deepEqual(report.unread, [{ what: 'damaged JSON', lines: 1, at: ['access.log:2'] }]);
});

test('what ended before the time that is asked for is not counted', async (t) => {
  const lines = [-2, -1, 0, 1].map((hours) => jsonLine(requestEvent(), new Date(NOON.getTime() + hours * 3_600_000)));
  const report = await reportOf(logOf(lines.join('')), { since: NOON.getTime() });
  t.deepEqual([report.lines, report.older, report.totals.requests], [4, 2, 2]);
  t.is(report.from, NOON.toISOString());
});

test('a few days are shown by hour, more of them by day, and as it is asked for', async (t) => {
  const line = (hours: number): string => jsonLine(requestEvent(), new Date(2026, 10, 21, 12 + hours));
  t.is((await reportOf(logOf(line(0), line(70)))).span, 'hour');
  const long = logOf(line(0), line(1), line(100));
  t.is((await reportOf(long)).span, 'day');
  t.deepEqual(
    (await reportOf(long, { by: 'day' })).times.map(({ requests }) => requests),
    [2, 1],
  );
  t.deepEqual(
    (await reportOf(long, { by: 'hour' })).times.map(({ requests }) => requests),
    [1, 1, 1],
  );
});

test('tables show ten rows and sum up the others, and are whole when they are asked for', async (t) => {
  const lines = Array.from({ length: 15 }, (_, index) =>
    jsonLine(requestEvent({ repository: `a/${index}`, bytes: index }), NOON),
  );
  const { images } = await reportOf(logOf(lines.join('')));
  t.deepEqual([images.rows.length, images.rows[0]?.name, images.others.requests], [10, 'docker.io/a/14', 5]);
  const whole = (await reportOf(logOf(lines.join('')), { by: 'image' })).images;
  t.deepEqual([whole.rows.length, whole.others.requests], [15, 0]);
});

test('however many names are asked for, only so many are kept, and the sums stay right', (t) => {
  const tally = new Tally(10);
  const entry = readEntry(jsonLine(requestEvent(), NOON).trimEnd());
  if (typeof entry === 'string') return t.fail();
  for (let index = 0; index < 1000; index++) {
    tally.add('often', entry);
    tally.add(`once-${index}`, entry);
    t.true(tally.rows().length <= 20);
  }
  const sum = tally.rows().reduce((all, { requests }) => all + requests, tally.others().requests);
  t.is(sum, 2000);
  t.is(tally.rows().find(({ name }) => name === 'often')?.requests, 1000);
});

test('a name that is no text is one name all the same', (t) => {
  const tally = new Tally();
  const entry = readEntry(jsonLine(requestEvent(), NOON).trimEnd());
  if (typeof entry === 'string') return t.fail();
  for (let index = 0; index < 3; index++) tally.add('a\ud800', entry);
  t.deepEqual(
    tally.rows().map(({ name, requests }) => [name, requests]),
    [['a\ud800', 3]],
  );
});

test('a percentile is never below the true one, and at most a tenth above', (t) => {
  fc.assert(
    fc.property(fc.array(fc.double({ min: 0.1, max: 1e6, noNaN: true }), { minLength: 1 }), (times) => {
      const histogram = new Histogram();
      for (const time of times) histogram.add(time);
      for (const share of [0.5, 0.9, 0.99]) {
        const sorted = times.toSorted((a, b) => a - b);
        const exact = sorted[Math.ceil(share * sorted.length) - 1] ?? 0;
        const found = histogram.percentile(share) ?? 0;
        t.true(found >= exact * 0.999_999 && found <= exact * 1.1, `${found} for ${exact}`);
      }
    }),
  );
  t.is(new Histogram().percentile(0.5), undefined);
});

test('an account without a request is a report too', (t) => {
  const report = new Account().report([]);
  t.is(report.from, undefined);
  t.deepEqual([report.times, report.totals.requests], [[], 0]);
});
