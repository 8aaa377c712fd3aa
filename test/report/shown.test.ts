import test from 'ava';
import type { RequestEvent } from '../../src/events.ts';
import { htmlReport } from '../../src/report/html.ts';
import type { Report } from '../../src/report/report.ts';
import { textReport } from '../../src/report/text.ts';
import { jsonLine, nginxLine } from '../../src/telemetry/access-log.ts';
import { requestEvent } from '../telemetry/events.ts';
import { logOf, NOON, REQUESTS, reportOf } from './logs.ts';

const lines = (requests: readonly RequestEvent[]): Promise<Report> =>
  reportOf(logOf(requests.map((request) => jsonLine(request, NOON)).join('')));

const EVIL = '\x1b[31m</title><script>alert(1)</script>"\'&\x9b2J\u202egnp\ud800';

test('the text says in its first lines what came of it, and then every table', async (t) => {
  const text = textReport(await lines(REQUESTS));
  t.regex(
    text,
    /9 requests, from 9 lines in 1 file\nhit ratio {2}50\.0 % .*\nsaved {6}4\.0 KiB of 9\.0 KiB sent \(44\.4 %\)\n/,
  );
  for (const title of ['By hour', 'Why it was not', 'Served from here', 'Upstreams', 'Images', 'Clients', 'Slowest'])
    t.regex(text, new RegExp(`^${title}`, 'm'));
  t.regex(text, /^ {2}miss +first-time +1 +0 +1\.0 KiB$/m);
});

test('cut by one thing, the text has that table and no other', async (t) => {
  const text = textReport(await lines(REQUESTS), 'client');
  t.regex(text, /^Clients\n {2}client +requests/m);
  t.notRegex(text, /Images|By hour/);
});

test("where nginx's format tells no reason, the tables say so", async (t) => {
  const report = await reportOf(logOf(nginxLine(requestEvent({ cache: 'miss' }), NOON)));
  t.regex(textReport(report), /miss +\(not told by nginx's format\) +1/);
});

test('a log without requests says so, on the page too', async (t) => {
  const report = await reportOf(logOf('nothing\n'));
  t.is(
    textReport(report),
    '1 lines in 1 file: no request in them\n1 could not be read: in no format of ours (access.log:1)\n',
  );
  t.notRegex(htmlReport(report), /<svg|<table/);
});

test('no name, path or reason from a log steers a terminal', async (t) => {
  const evil = requestEvent({ client: EVIL, repository: EVIL, reference: EVIL, why: EVIL, upstream: EVIL });
  const text = textReport(await lines([evil]));
  t.notRegex(text.replaceAll('\n', ''), /[\p{Cc}\p{Cf}\p{Cs}]/u);
  t.true(text.includes('\\u{1b}[31m'));
});

test('no name, path or reason from a log becomes markup on the page', async (t) => {
  const evil = requestEvent({ client: EVIL, repository: EVIL, reference: EVIL, why: EVIL, upstream: EVIL });
  const page = htmlReport(await lines([evil]));
  for (const forbidden of ['<script', '\x1b', '\u202e']) t.false(page.includes(forbidden));
  t.true(page.includes('&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#39;&amp;'));
});

test('the page needs nothing from elsewhere, is well-formed, and has a table behind each chart', async (t) => {
  const page = htmlReport(await lines(REQUESTS));
  t.notRegex(page, /<(?:script|link|img|iframe)|https?:|url\(|@import| on[a-z]+=/);
  t.regex(page, /Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'"/);
  t.regex(page, /prefers-color-scheme: dark/);
  t.is(page.match(/<svg [^>]*role="img" aria-label="[^"]+"/g)?.length, 2);
  t.is(page.match(/<table><caption>/g)?.length, 8);
  t.deepEqual(unbalanced(page), []);
});

test('bars stand where their time is, stacked to the sum, and nothing leaves the picture', async (t) => {
  const at = (hours: number): Date => new Date(NOON.getTime() + hours * 3_600_000);
  const text = [0, 1, 9].flatMap((hours) => REQUESTS.map((request) => jsonLine(request, at(hours)))).join('');
  const [requests = ''] = htmlReport(await reportOf(logOf(text))).match(/<svg.*?<\/svg>/s) ?? [];
  const bars = [
    ...requests.matchAll(/<rect class="(\w+)" x="([\d.]+)" y="([\d.]+)" width="([\d.]+)" height="([\d.]+)"/g),
  ];
  t.is(bars.length, 9);
  const [hit = [], miss = [], bypass = []] = bars.map(([, , ...figures]) => figures.map(Number));
  t.deepEqual([hit[1], miss[1], bypass[1]], [115, 36.25, 10]);
  const starts = bars.filter(([, kind]) => kind === 'hit').map(([, , x]) => Number(x));
  t.deepEqual(starts, [70, 153, 817]);
  for (const [, , x, , width] of bars) t.true(Number(x) + Number(width) <= 900);
});

/** Elements that are not closed, or closed without having been opened. */
function unbalanced(page: string): readonly string[] {
  const open: string[] = [];
  const wrong: string[] = [];
  for (const [, slash, name = '', self] of page.matchAll(/<(\/?)([a-z]\w*)[^>]*?(\/?)>/g)) {
    if (name === 'meta' || self === '/') continue;
    if (slash === '') open.push(name);
    else if (open.pop() !== name) wrong.push(name);
  }
  return [...open, ...wrong];
}

test('the grid of a chart stands at round figures, whatever the highest is', async (t) => {
  for (const [requests, counts, bytes] of [
    [1, '0 1 2 3 4', '0 B, 256 KiB, 512 KiB, 768 KiB, 1.0 MiB'],
    [9, '0 4 8 12 16', '0 B, 3.0 MiB, 6.0 MiB, 9.0 MiB, 12 MiB'],
    [301, '0 80 160 240 320', '0 B, 96 MiB, 192 MiB, 288 MiB, 384 MiB'],
  ] as const) {
    const text = Array.from({ length: requests }, () => jsonLine(requestEvent({ bytes: 2 ** 20 }), NOON)).join('');
    const charts = htmlReport(await reportOf(logOf(text))).match(/<svg.*?<\/svg>/gs) ?? [];
    const [ofCounts, ofBytes] = charts.map((svg) =>
      [...svg.matchAll(/text-anchor="end">([^<]*)/g)].map(([, label]) => label),
    );
    t.is(ofCounts?.join(' '), counts);
    t.is(ofBytes?.join(', '), bytes);
  }
});

test('a few times stand below a chart, however many bars it has', async (t) => {
  for (const [days, expected] of [
    [1, 6],
    [11 / 8, 6],
    [3, 6],
    [60, 6],
  ] as const) {
    const text = Array.from({ length: days * 24 }, (_, hour) =>
      jsonLine(requestEvent({}), new Date(NOON.getTime() + hour * 3_600_000)),
    ).join('');
    const [counts = ''] = htmlReport(await reportOf(logOf(text))).match(/<svg.*?<\/svg>/s) ?? [];
    const below = [...counts.matchAll(/<text x="([\d.]+)" y="238">/g)].map(([, x]) => Number(x));
    t.true(below.length > 2 && below.length <= expected, `${days} days: ${below}`);
    t.true((below.at(-1) ?? 0) <= 770);
    for (const [index, x] of below.slice(1).entries()) t.true(x - (below[index] ?? 0) >= 130);
  }
});
