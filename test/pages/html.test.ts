import test from 'ava';
import fc from 'fast-check';
import { html, Markup } from '../../src/html/markup.ts';
import { catalogSection } from '../../src/pages/catalog-section.ts';
import { pageHtml } from '../../src/pages/page.ts';
import { setupSection } from '../../src/pages/setup-section.ts';
import { stateText, statusSection } from '../../src/pages/status-section.ts';
import { statusText, welcome } from '../../src/pages/welcome.ts';
import { catalogOf, NOW, statusOf } from './sample.ts';

function whole(name: string): string {
  const step = { text: name, file: name, content: name, command: name };
  const instructions = [{ client: name, title: name, steps: [step] }];
  return pageHtml(
    name,
    [
      { id: 'status', name: 'Status', markup: statusSection(statusOf(name), NOW) },
      { id: 'cached', name: 'What is cached', markup: catalogSection(catalogOf(name), NOW) },
      { id: 'setup', name: 'Setup', markup: setupSection(instructions) },
    ],
    { script: true },
  );
}

/** The tags of a page with the names of their attributes: what a browser makes of it, but for texts. */
function skeleton(page: string): string {
  return (page.match(/<[^>]*>/g) ?? []).map((tag) => tag.replace(/"[^"]*"/g, '""')).join('\n');
}

const EVIL = '"><script>alert(1)</script><img src=x onerror=alert(1)>\'&amp;\u202e\x1b[31m';

test('whatever names and texts are, they change nothing but texts', (t) => {
  const plain = skeleton(whole('name'));
  t.true(plain.split('\n').length > 100);
  const hostile = fc.oneof(
    fc.string({ unit: 'binary', minLength: 1 }),
    fc.constant(EVIL),
    fc
      .array(fc.constantFrom('<', '>', '"', "'", '&', '-->', '</title>', '</script>', ']]>', 'onclick=', ' ', '`', '{'))
      .map((parts) => `x${parts.join('')}`),
  );
  fc.assert(
    fc.property(hostile, (name) => {
      t.is(skeleton(whole(name)), plain);
    }),
  );
  t.false(whole(EVIL).includes('<script>alert'));
});

test('names cannot turn lines around or steer a terminal', (t) => {
  const markup = statusSection(statusOf(EVIL), NOW).text + catalogSection(catalogOf(EVIL, { query: '' }), NOW).text;
  for (const sign of ['\u202e', '\x1b']) t.false((markup + statusText(statusOf(EVIL))).includes(sign));
});

test('what is put into markup is escaped, unless it is markup itself', (t) => {
  t.is(
    html`<a title="${'"<&>\''}">${1}${undefined}${['<', html`<b>`]}</a>`.text,
    '<a title="&quot;&lt;&amp;&gt;&#39;">1&lt;<b></a>',
  );
  t.is(html`${new Markup('<i>')}`.text, '<i>');
});

test('a page has one main part, headings in order, a name for every region, and labels for what is typed', (t) => {
  const page = whole('name');
  t.is(page.match(/<main\b/g)?.length, 1);
  t.is(page.match(/<h1\b/g)?.length, 1);
  t.regex(page, /^<!doctype html>\n<html lang="en">/);
  const levels = [...page.matchAll(/<h([1-6])\b/g)].map(([, level]) => Number(level));
  for (const [index, level] of levels.entries()) t.true(level <= (levels[index - 1] ?? 0) + 1, String(levels));
  for (const [table] of page.matchAll(/<table>.*?<\/table>/gs)) {
    t.regex(table, /^<table><caption>[^<]+<\/caption>/);
    for (const [cell] of table.matchAll(/<th\b[^>]*>/g)) t.regex(cell, /scope="(?:col|row)"/);
  }
  for (const [, id] of page.matchAll(/aria-labelledby="([^"]*)"/g)) t.true(page.includes(` id="${id}"`), id);
  for (const [, id] of page.matchAll(/<label for="([^"]*)"/g)) t.true(page.includes(`<input id="${id}"`), id);
  const ids = [...page.matchAll(/ id="([^"]*)"/g)].map(([, id]) => id);
  t.deepEqual(ids, [...new Set(ids)]);
  for (const [part] of page.matchAll(/<[a-z]+ [^>]*data-live/g)) t.regex(part, / id="/);
  t.notRegex(page, /https?:|\bstyle=|<style|\bon[a-z]+=/);
});

test('the state is one sentence that names what is wrong', (t) => {
  t.is(stateText(statusOf('docker.io')), 'Serving; 1 warning; out of reach: quay.io; limiting us: ghcr.io.');
  t.is(stateText(statusOf('docker.io', { warnings: [], upstreams: [] })), 'Serving.');
  t.is(
    stateText(statusOf('docker.io', { ready: false, warnings: ['a', 'b'], upstreams: [] })),
    'Not serving; 2 warnings.',
  );
});

test('figures are told as people read them, moments as they are from now', (t) => {
  const text = textOf(statusSection(statusOf('docker.io'), NOW).text);
  for (const part of [
    'Hit ratio 91.7 % 1,100 of 1,200 answers in 3 days',
    'Saved 40 MiB of 50 MiB sent; 10 MiB fetched',
    'Cache 20 GiB of 50 GiB (40.0 %)',
    'Being fetched 3 for 3 answers under way',
    'docker.io answers 76 without login 180 with our account, anew in 2 h 120 3.0 MiB 40 MiB',
    'quay.io out of reach it does not say 120',
    'ghcr.io wants a pause, asked again in 20 min',
    'gcr.io not asked yet 0 0 B 0 B',
    '3 blobs: 100 B of 400 B; 2 of them not named here, since not everybody may read them.',
    'docker.io docker.io 25.0 % 50 B 200 B',
  ])
    t.true(text.includes(part), `${part} in ${text}`);
  const several = statusOf('docker.io', { processes: 4, fetches: { running: 0, size: 0, received: 0, named: [] } });
  const { since: _, ...unknown } = several;
  const other = textOf(statusSection(unknown, NOW).text);
  t.true(other.includes('Hit ratio 91.7 % 1,100 of 1,200 answers Saved'));
  t.true(other.includes('Processes 4 serve together'));
  t.true(other.includes('Nothing is being fetched.'));
});

test('the list of repositories leads to its other pages, with what was searched for', (t) => {
  const page = catalogSection(catalogOf('a&b'), NOW).text;
  t.true(page.includes('href="/?q=a%26b&amp;page=1#cached">Previous page'));
  t.true(page.includes('href="/?q=a%26b&amp;page=3#cached">Next page'));
  t.true(page.includes('value="a&amp;b"'));
  const text = textOf(page);
  t.true(
    text.includes('130 repositories with \u201ca&amp;b\u201d, page 2 of 3. Only what everybody may read is listed.'),
  );
  t.true(text.includes('3 h ago 1.0 MiB'));
  t.true(text.includes('docker.io/library/alpine not known 100 B'));
  const first = catalogSection(catalogOf('', { page: 1, pages: 1, found: 1 }), NOW).text;
  t.notRegex(first, /Next page|Previous page/);
  t.true(textOf(first).includes('1 repository. Only'));
  const reading = catalogSection(catalogOf('', { state: 'reading', pages: 1, repositories: [] }), NOW).text;
  t.regex(reading, /load the page again/);
  t.notRegex(reading, /<table/);
});

test('without a browser it is a text of a few lines', (t) => {
  const text = welcome('http://gateway.lan:5000') + statusText(statusOf('docker.io'));
  t.regex(text, /curl -o layover\.crt http:\/\/gateway\.lan:5000\/ca\.crt/);
  t.regex(text, /docker pull gateway\.lan:5000\/docker\.io\/library\/alpine/);
  t.regex(text, /insecure-registries/);
  t.notRegex(welcome('http://localhost:5000') + welcome('https://gateway.lan'), /insecure-registries/);
  t.regex(text, /Serving; 1 warning; out of reach: quay\.io/);
  t.regex(text, /hit ratio 91\.7 % of 1,200 answers; 40 MiB of 50 MiB saved/);
});

/** What is read of markup. */
function textOf(markup: string): string {
  return markup
    .replace(/<[^>]*>/g, ' ')
    .replace(/\s+/g, ' ')
    .replace(/ ([,.;])/g, '$1');
}
