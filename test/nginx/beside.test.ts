import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import test from 'ava';
import { runIsolated } from '../clients/namespace.ts';
import { canIsolate, missing } from '../faults/namespace.ts';
import { markedBlock, readDocument } from '../support/markdown.ts';
import type { Shown } from './requests.ts';

interface Pair {
  readonly title: string;
  readonly before: Shown;
  readonly after: Shown;
}

const absent = await missing(['nginx', 'docker-registry', 'goaccess', 'unshare']);
const why = absent.length > 0 ? `not here: ${absent.join(', ')}` : 'needs root, for namespaces';
const isRun = absent.length === 0 && (await canIsolate());
const compared = isRun ? test : test.skip;

const pairs: Pair[] = [];
let logs: readonly [before: string, after: string] = ['', ''];

test.before(async (t) => {
  if (!isRun) return t.log(`skipped: ${why}`);
  t.timeout(180_000);
  const dir = await mkdtemp(join(tmpdir(), 'layover-nginx-'));
  try {
    await runIsolated(join(import.meta.dirname, 'beside.ts'), [dir], 150_000, (line) => {
      const said = JSON.parse(line) as Pair | { logs: typeof logs };
      if ('logs' in said) logs = said.logs;
      else pairs.push(said);
    });
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
});

const CONTENT = 'content-length content-type docker-content-digest etag';

/**
 * The intended differences: how the answers begin, and which of their fields differ, in alphabetical order. Each is a row
 * of the table in nginx-compat/README.md.
 */
const DIFFERENCES: Readonly<Record<string, string>> = {
  'cached private manifest without a token': `200 → 401: body ${CONTENT} www-authenticate`,
  'cached private blob without a token': `200 → 401: body ${CONTENT} www-authenticate`,
  'cached private blob, anonymous': `200 → 401: body ${CONTENT} www-authenticate`,
  'first bytes': '200 → 206: body content-length content-range',
  'last bytes': '200 → 206: body content-length content-range',
  'from the middle on': '200 → 206: body content-length content-range',
  'the rest of the same blob': '200 → 206: body content-length content-range',
  'beyond the end': `200 → 416: body content-length content-range content-type docker-content-digest etag`,
  'a blob that is known': '200 → 304: body content-length content-type',
  'manifest by tag, any type': `404 → 200: body ${CONTENT}`,
  'absent manifest': '500 → 404: body',
  'absent repository': '404 → 401: body www-authenticate',
  'a page of the tags': '200 → 200: body link',
  referrers: '404 → 200: body content-length content-type',
  catalog: '401 → 401: www-authenticate',
  'upper case in a name': '401 → 400: body www-authenticate',
  'no tag': '404 → 404: body content-type',
  'blob of another registry': `500 → 200: body ${CONTENT}`,
  'start of a push with its login': '405 → 202: body content-length content-type location',
  'tag that is deleted': '401 → 401: www-authenticate',
};

compared('nginx in front of the gateway answers as the construction does, but for what is listed', (t) => {
  t.true(pairs.length > 50);
  const found = pairs.flatMap(({ title, before, after }) => {
    const fields = differing(before, after);
    return fields.length === 0 ? [] : [[title, `${before.status} → ${after.status}: ${fields.join(' ')}`] as const];
  });
  t.deepEqual(Object.fromEntries(found), DIFFERENCES);
});

/** What differs, but for what the next test is about. */
function differing(before: Shown, after: Shown): string[] {
  const names = new Set([...Object.keys(before.headers), ...Object.keys(after.headers)]);
  names.delete('accept-ranges');
  const fields = [...names].filter((name) => plain(before.headers[name]) !== plain(after.headers[name]));
  return [...fields, ...(before.body === after.body ? [] : ['body'])].sort();
}

const plain = (field = ''): string => field.replace(/; charset=utf-8$/, '').replace(/^"?(sha256:\w+)"?$/, '$1');

compared('everywhere, JSON has no charset, and blobs have quoted ETags and offer ranges', (t) => {
  const [blobs, refusals] = [
    pairs.filter(
      ({ before, after }) => before.status === 200 && after.headers['content-type'] === 'application/octet-stream',
    ),
    pairs.filter(({ before, after }) => before.body !== 'no JSON' && Math.min(before.status, after.status) >= 400),
  ];
  t.true(blobs.length >= 8 && refusals.length >= 10);
  for (const { title, before, after } of blobs) {
    t.regex(before.headers.etag ?? '', /^sha256:/, title);
    t.is(after.headers.etag, `"${before.headers.etag}"`, title);
    t.deepEqual([before.headers['accept-ranges'], after.headers['accept-ranges']], [undefined, 'bytes'], title);
  }
  for (const { title, before, after } of refusals.filter(({ title }) => !title.startsWith('token')))
    t.deepEqual(
      [before.headers['content-type'], after.headers['content-type']],
      ['application/json; charset=utf-8', 'application/json'],
      title,
    );
});

compared('a private image is read with its login on both sides', (t) => {
  for (const title of ['private manifest with its login', 'private blob with its login']) {
    const pair = pairs.find((one) => one.title === title);
    t.deepEqual([pair?.before.status, pair?.after.status], [200, 200], title);
  }
});

test('the table of differences has a row with its statuses for each, and no other', async (t) => {
  const page = await readDocument('nginx-compat/README.md');
  const [, table = ''] = /^## What differs\n(.*?)^## /ms.exec(page) ?? [];
  const rows = [...table.matchAll(/^\| (`[^|]*`) +\| (\d+)\b[^|]*\| (\d+)\b/gm)].flatMap(
    ([, titles = '', before, after]) =>
      [...titles.matchAll(/`([^`]+)`/g)].map(([, title = '']) => [title, `${before} → ${after}`] as const),
  );
  const statuses = Object.entries(DIFFERENCES).map(([title, text]) => [title, text.split(':', 1)[0]]);
  t.is(rows.length, statuses.length);
  t.deepEqual(Object.fromEntries(rows), Object.fromEntries(statuses));
});

interface Counted {
  readonly general: {
    readonly total_requests: number;
    readonly valid_requests: number;
    readonly failed_requests: number;
  };
  readonly [panel: string]: unknown;
}

/** What goaccess makes of a log, by the options of nginx-compat/README.md. */
async function count(log: string): Promise<Counted> {
  const dir = await mkdtemp(join(tmpdir(), 'layover-goaccess-'));
  try {
    await writeFile(join(dir, 'access.log'), log);
    const script = markedBlock(await readDocument('nginx-compat/README.md'), 'goaccess')
      .replace(/\S+\.log/, 'access.log')
      .replace(/-o \S+/, '-o report.json --no-global-config');
    await promisify(execFile)('sh', ['-c', script], { cwd: dir, timeout: 60_000 });
    return JSON.parse(await readFile(join(dir, 'report.json'), 'utf8')) as Counted;
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

/** Requests by name in one panel of a report. */
function hits(counted: Counted, panel: string): Record<string, number> {
  const { data } = counted[panel] as { data: readonly { hits: { count: number }; data: string }[] };
  return Object.fromEntries(data.map((row) => [row.data, row.hits.count]));
}

compared('goaccess reads the logs of both with the same format, and counts the same requests', async (t) => {
  const [before, after] = [await count(logs[0]), await count(logs[1])];
  for (const { general } of [before, after]) {
    t.is(general.failed_requests, 0);
    t.is(general.valid_requests, general.total_requests);
  }
  t.is(after.general.total_requests, logs[1].trim().split('\n').length);
  t.is(after.general.total_requests, before.general.total_requests);
  for (const panel of ['hosts', 'vhosts']) t.deepEqual(hits(after, panel), hits(before, panel), panel);
  t.true((hits(after, 'vhosts')['ghcr.io'] ?? 0) >= 2);
  t.true((hits(before, 'cache_status').HIT ?? 0) > 5 && (hits(after, 'cache_status').HIT ?? 0) > 5);
});

test('what was left out of this file is said', (t) => {
  if (!isRun) t.log(`the comparison was skipped: ${why}`);
  t.pass();
});
