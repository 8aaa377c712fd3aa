import { mkdir, mkdtemp, open, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import fc from 'fast-check';
import { type NoticeEvent, publish, subscribe } from '../../src/events.ts';
import { jsonLine, nginxLine, openAccessLog } from '../../src/telemetry/access-log.ts';
import { requestEvent } from './events.ts';

const NOON = new Date(2026, 10, 21, 12, 0, 5);

async function directory(t: { teardown(remove: () => Promise<void>): void }): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'layover-log-'));
  t.teardown(() => rm(path, { recursive: true }));
  return path;
}

test('a request becomes one JSON line that says what came, from where, and why', (t) => {
  const line = jsonLine(requestEvent(), NOON);
  t.true(line.endsWith('}\n'));
  t.deepEqual(JSON.parse(line), {
    time: NOON.toISOString(),
    id: 'a1',
    client: '192.0.2.7',
    door: 'transparent',
    method: 'GET',
    host: 'registry-1.docker.io',
    path: '/v2/library/nginx/manifests/latest',
    upstream: 'docker.io',
    repository: 'library/nginx',
    reference: 'latest',
    kind: 'manifest',
    status: 200,
    cache: 'hit',
    why: 'fresh',
    bytes: 1024,
    firstByte: 0.5,
    total: 1.3,
    upstreamTime: 0,
    userAgent: 'containers/5.8',
    referer: '',
    aborted: false,
  });
});

test('an internal error is logged without the secrets of the URL it names', (t) => {
  const error = 'GET https://u:hunter2@cdn.test/blob?X-Amz-Signature=abc failed, sent Bearer eyJhbGciOi.x.y';
  const logged: { error: string } = JSON.parse(jsonLine(requestEvent({ error }), NOON));
  t.is(logged.error, 'GET https://***@cdn.test/blob?*** failed, sent Bearer ***');
});

test('passwords and tokens in the target or the referrer are in neither format', (t) => {
  const request = requestEvent({ path: 'http://u:s3cret@a.test/v2/', referer: 'https://b.test/x?token=s3cret' });
  for (const line of [jsonLine(request, NOON), nginxLine(request, NOON)]) {
    t.notRegex(line, /s3cret/);
    t.regex(line, /a\.test\/v2\/.*b\.test\/x/);
  }
});

test('the nginx format keeps the fields and their order', (t) => {
  const line = nginxLine(requestEvent({ referer: 'https://a.test/' }), NOON).replace(/[+-]\d{4}"/, '+0000"');
  t.is(
    line,
    '192.0.2.7 "21/Nov/2026:12:00:05 +0000" registry-1.docker.io ' +
      '"GET /v2/library/nginx/manifests/latest HTTP/1.1" 200 1024 "https://a.test/" "containers/5.8" ' +
      'subpath:docker.io HIT\n',
  );
});

test('the nginx format calls an upstream by its alias', (t) => {
  const aliases = new Map([['docker.io', 'dockerhub']]);
  t.regex(nginxLine(requestEvent(), NOON, aliases), / subpath:dockerhub HIT\n$/);
  t.regex(nginxLine(requestEvent({ upstream: 'ghcr.io' }), NOON, aliases), / subpath:ghcr\.io HIT\n$/);
});

test('the nginx format writes a dash for what is not there', (t) => {
  const { upstream: _, ...own } = requestEvent({ userAgent: '', cache: 'none' });
  t.regex(nginxLine(own, NOON), / 1024 "-" "-" subpath:- -\n$/);
});

test('every cache result has the word that nginx has for it', (t) => {
  const words = (['hit', 'revalidated', 'stale', 'miss', 'collapsed', 'bypass'] as const).map((cache) =>
    nginxLine(requestEvent({ cache }), NOON).trimEnd().split(' ').at(-1),
  );
  t.deepEqual(words, ['HIT', 'REVALIDATED', 'STALE', 'MISS', 'HIT', 'BYPASS']);
});

test('the nginx format escapes quotes, backslashes and bytes outside printable ASCII', (t) => {
  const line = nginxLine(requestEvent({ userAgent: 'a"b\\c\r\nd\xe9\u20ac' }), NOON);
  t.true(line.includes(String.raw`"a\x22b\x5Cc\x0D\x0Ad\xE9\xE2\x82\xAC"`));
});

test('no client can forge a line or a field, in either format', (t) => {
  const unit = fc.oneof(fc.integer({ min: 0, max: 0xff }), fc.integer({ min: 0, max: 0xffff }));
  const anything = fc.string({ unit: unit.map((code) => String.fromCharCode(code)), maxLength: 30 });
  fc.assert(
    fc.property(anything, anything, anything, (host, path, userAgent) => {
      const request = requestEvent({ host, path, userAgent });
      const nginx = nginxLine(request, NOON);
      t.regex(nginx, /^\S+ "[^"]+" \S+ "[^"]*" 200 1024 "-" "[^"]*" subpath:docker\.io HIT\n$/);
      const json = jsonLine(request, NOON);
      t.is(json.indexOf('\n'), json.length - 1);
      t.is(JSON.parse(json).host, host);
    }),
  );
});

test('the log makes its directory and holds every request when it is closed', async (t) => {
  const file = join(await directory(t), 'deep', 'access.log');
  const log = openAccessLog({ file, format: 'json' });
  for (let index = 0; index < 500; index++) publish('request', requestEvent({ id: String(index) }));
  await log.close();
  publish('request', requestEvent({ id: 'late' }));
  const lines = (await readFile(file, 'utf8')).trimEnd().split('\n');
  t.deepEqual(
    lines.map((line) => JSON.parse(line).id),
    Array.from({ length: 500 }, (_, index) => String(index)),
  );
});

test.serial('a rotated log goes on in a new file and loses no line', async (t) => {
  const file = join(await directory(t), 'access.log');
  const log = openAccessLog({ file, format: 'json' });
  publish('request', requestEvent({ id: 'old' }));
  await rename(file, `${file}.1`);
  log.reopen();
  publish('request', requestEvent({ id: 'new' }));
  await log.close();
  t.regex(await readFile(`${file}.1`, 'utf8'), /"id":"old"/);
  t.regex(await readFile(file, 'utf8'), /"id":"new"/);
});

test.serial('a log that has reached its size is rotated, and only so many files are kept', async (t) => {
  const folder = await directory(t);
  const file = join(folder, 'access.log');
  await writeFile(`${file}.2`, 'the oldest');
  await writeFile(`${file}.3`, 'of somebody who keeps more');
  const line = jsonLine(requestEvent({ id: 'n-0' }), NOON).length;
  const log = openAccessLog({ file, format: 'json', maxSize: line * 2, keep: 2 });
  for (let index = 0; index < 5; index++) {
    publish('request', requestEvent({ id: `n-${index}` }));
    // While it is rotated nobody has the name for a moment.
    while (!(await readFile(file, 'utf8').catch(() => '')).includes(`"n-${index}"`)) await sleep(5);
  }
  await log.close();
  const ids = async (name: string): Promise<string[]> =>
    [...(await readFile(name, 'utf8')).matchAll(/"id":"(n-\d)"/g)].map(([, id = '']) => id);
  t.deepEqual(await ids(file), ['n-4']);
  t.deepEqual(await ids(`${file}.1`), ['n-2', 'n-3']);
  t.deepEqual(await ids(`${file}.2`), ['n-0', 'n-1']);
  t.is(await readFile(`${file}.3`, 'utf8'), 'of somebody who keeps more');
  t.is((await readdir(folder)).length, 4);
});

test.serial('a log that was long before the start is rotated too, and none is kept with zero', async (t) => {
  const folder = await directory(t);
  const file = join(folder, 'access.log');
  await writeFile(file, 'x'.repeat(5000));
  const log = openAccessLog({ file, format: 'json', maxSize: 1000, keep: 0 });
  publish('request', requestEvent({ id: 'new' }));
  await log.close();
  t.deepEqual(await readdir(folder), ['access.log']);
  t.regex(await readFile(file, 'utf8'), /^\{.*"id":"new"/);
});

test.serial('a log that cannot be rotated goes on where it is, and the operator is told', async (t) => {
  const notices: NoticeEvent[] = [];
  t.teardown(subscribe('notice', (notice) => notices.push(notice)));
  const file = join(await directory(t), 'access.log');
  await writeFile(file, 'x'.repeat(500));
  await mkdir(join(`${file}.1`, 'in the way'), { recursive: true });
  const log = openAccessLog({ file, format: 'json', maxSize: 100, keep: 1 });
  publish('request', requestEvent({ id: 'kept' }));
  await log.close();
  t.regex(await readFile(file, 'utf8'), /^x{500}\{.*"id":"kept"/);
  t.deepEqual(
    notices.map(({ message }) => message),
    ['the access log cannot be rotated'],
  );
});

test('a log that cannot be opened is told at once, with its path', (t) => {
  const error = t.throws(() => openAccessLog({ file: '/dev/null/access.log', format: 'json' }));
  t.is(error.message, 'the access log /dev/null/access.log cannot be opened');
  t.true(error.cause instanceof Error);
});

const onLinux = process.platform === 'linux' ? test.serial : test.skip;
onLinux('a full disk is told to the operator once and neither throws nor blocks closing', async (t) => {
  const notices: NoticeEvent[] = [];
  t.teardown(subscribe('notice', (notice) => notices.push(notice)));
  const log = openAccessLog({ file: '/dev/full', format: 'json' });
  publish('request', requestEvent());
  await new Promise((resolve) => setTimeout(resolve, 60));
  publish('request', requestEvent());
  await log.close();
  t.deepEqual(
    notices.map(({ message, fields }) => [message, fields]),
    [['the access log loses lines', { file: '/dev/full' }]],
  );
});

test.serial('closing a log twice closes no other file', async (t) => {
  const dir = await directory(t);
  const log = openAccessLog({ file: join(dir, 'access.log'), format: 'json' });
  await log.close();
  // The next file gets the lowest free number, which was the log's.
  const other = await open(join(dir, 'other'), 'w');
  await log.close();
  await t.notThrowsAsync(other.write('still open'));
  await other.close();
});
