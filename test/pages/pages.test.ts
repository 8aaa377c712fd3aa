import test from 'ava';
import { Catalog } from '../../src/pages/catalog.ts';
import { firstSteps } from '../../src/pages/first-steps.ts';
import { Overview, type Sources } from '../../src/pages/overview.ts';
import { pagesOf } from '../../src/pages/pages.ts';
import { Client } from '../support/client.ts';
import { TestGateway } from '../support/gateway.ts';

const sources: Sources = {
  isReady: () => true,
  warnings: () => [],
  figures: async () => [],
  space: () => ({ used: 0, limit: 0 }),
  fetches: async () => [],
  upstreams: () => ['docker.io'],
  mayShow: async () => true,
};
const overview = new Overview(
  sources,
  new Catalog(async () => [{ repository: 'docker.io/a', size: 1, used: 0 }], sources.mayShow),
);
const pages = pagesOf({ overview, names: ['cache.example.com'], instructions: (origin) => [firstSteps(origin)] });

async function read(
  path: string,
  accept: readonly string[] = [],
  query = '',
  from = pages,
  origin = 'http://gateway.lan:5000',
) {
  const page = await from.get(path)?.({ origin, accept, query: new URLSearchParams(query) });
  if (page === undefined) throw new Error(`no page ${path}`);
  return { ...page, body: String(page.body) };
}

test('browsers get HTML, everybody else text', async (t) => {
  const cases: readonly (readonly [readonly string[], boolean])[] = [
    [[], false],
    [['*/*'], false],
    [['text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8'], true],
    [['application/json', 'text/html;q=0.5'], true],
    [['TEXT/HTML'], true],
    [['text/html;q=0, */*'], false],
    [['text/html; q=0.0'], false],
    [['application/text/htmlx'], false],
  ];
  for (const [accept, isHtml] of cases) {
    const { contentType, body, headers } = await read('/', accept);
    t.is(contentType, isHtml ? 'text/html; charset=utf-8' : 'text/plain; charset=utf-8', String(accept));
    t.is(body.startsWith('<!doctype html>'), isHtml);
    t.is(headers?.Vary, 'Accept');
  }
});

test('without a script the page has everything', async (t) => {
  const { body } = await read('/', ['text/html']);
  for (const part of [
    'Serving.',
    'Upstream registries',
    'docker.io/a',
    'docker pull gateway.lan:5000/docker.io',
    'href="/ca.crt"',
  ])
    t.true(body.includes(part), part);
  t.is(body.match(/<script/g)?.length, 1);
});

test('what a page names is there', async (t) => {
  const { body } = await read('/', ['text/html']);
  const named = [...body.matchAll(/(?:href|src)="(\/[^"#?]*)/g)].map(([, path]) => path ?? '');
  t.true(named.length >= 5);
  for (const path of named) if (path !== '/ca.crt') t.true((await read(path, ['text/html'])).body.length > 0, path);
  const { contentType } = await read('/status.js');
  t.is(contentType, 'text/javascript; charset=utf-8');
});

test('programs get the same as JSON', async (t) => {
  const { body, contentType } = await read('/status.json', [], 'q=docker');
  t.is(contentType, 'application/json');
  t.like(JSON.parse(body), {
    ready: true,
    upstreams: [{ name: 'docker.io', state: 'unasked' }],
    cached: { state: 'known', query: 'docker', found: 1, repositories: [{ repository: 'docker.io/a', size: 1 }] },
  });
});

test('where nothing is told of the status, setup and certificate stay', async (t) => {
  const bare = pagesOf({ names: [], instructions: (origin) => [firstSteps(origin)] });
  t.deepEqual([...bare.keys()].sort(), ['/', '/status.css', '/status.svg']);
  const { body } = await read('/', ['text/html'], '', bare);
  t.true(body.includes('docker pull gateway.lan:5000'));
  t.notRegex(body, /<script|Hit ratio|status\.json/);
  t.notRegex((await read('/', [], '', bare)).body, /Serving|status\.json/);
});

test('under a name that a site on the internet may have led here, nothing is told of the status', async (t) => {
  for (const host of [
    'evil.example.com',
    'evil.com',
    'lan.evil.com',
    'xlan',
    'notcache.example.com',
    '1.2.3.4.evil.com',
  ]) {
    const origin = `http://${host}:5000`;
    const isOwn = host === 'xlan';
    for (const path of ['/status', '/status.json']) {
      const { status = 200, body } = await read(path, ['text/html'], '', pages, origin);
      t.is(status, isOwn ? 200 : 403, host);
      t.is(/docker\.io\/a|unasked|not asked/.test(body), isOwn, host);
    }
    for (const accept of ['text/html', '*/*']) {
      const { body } = await read('/', [accept], '', pages, origin);
      t.is(/Serving|not asked yet/.test(body), isOwn, host);
      t.is(body.includes(`add ${host} to names`), !isOwn, host);
      t.true(body.includes('docker pull'));
    }
  }
  for (const host of [
    'cache.example.com',
    '192.0.2.7',
    '[2001:db8::1]',
    'localhost',
    'nas',
    'nas.local',
    'a.b.home.arpa',
    'x.internal',
  ])
    t.true((await read('/', ['text/html'], '', pages, `https://${host}`)).body.includes('Serving'), host);
});

test('the admin listener asks the same of a name', async (t) => {
  await using gateway = await TestGateway.start({ upstreams: [], config: { page: 'admin' } });
  using client = new Client();
  const status = async (host: string) =>
    (await client.request(`${gateway.admin}/status.json`, { headers: { host } })).status;
  t.is(await status('localhost:9464'), 200);
  t.is(await status('[::1]:9464'), 200);
  t.is(await status('evil.example.com'), 403);
  t.is(await status('evil.example.com:x@localhost'), 403);
  t.is(await status('/'), 403);
});

for (const [page, own, admin] of [
  ['public', 200, 200],
  ['admin', 404, 200],
  ['off', 404, 404],
] as const)
  test(`the key page: ${page} decides where the status is`, async (t) => {
    await using gateway = await TestGateway.start({ upstreams: [], config: { page } });
    const status = async (url: string, method = 'GET') => (await fetch(url, { method })).status;
    t.is(await status(`${gateway.own}/status.json`), own);
    t.is(await status(`${gateway.admin}/status.json`), admin);
    t.is(await status(`${gateway.admin}/`, 'HEAD'), admin);
    t.is(await status(`${gateway.admin}/livez`), 200);
    t.is(await status(`${gateway.own}/ca.crt`), 200);
    t.regex(await (await fetch(gateway.own)).text(), /^This is Layover/);
    const { headers } = await fetch(`${admin === 200 ? gateway.admin : gateway.own}/`, {
      headers: { accept: 'text/html' },
    });
    t.regex(headers.get('content-security-policy') ?? '', /^default-src 'none'/);
    t.regex(headers.get('content-type') ?? '', /^text\/html/);
  });
