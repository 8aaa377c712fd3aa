import test from 'ava';
import type { PageMaker } from '../../src/gateway/pages.ts';
import { ask, askPlain, start } from './start.ts';

test('a page is told where it was asked for, with which query and what its reader accepts', async (t) => {
  const asked: object[] = [];
  const page = (request: object) => {
    asked.push(request);
    return { contentType: 'text/html', body: '<p>' };
  };
  const running = await start(t, { pages: new Map([['/some/page.html', page]]) });
  const path = '/some/page.html?q=a%20b&q=c';
  await askPlain(running, { path, host: 'cache.example:5000', headers: { accept: ['text/html', 'text/plain;q=0.5'] } });
  await ask(running, { path: '/some/page.html', host: 'gateway.lan' });
  const origin = `https://gateway.lan`;
  t.like(asked, [
    { origin: 'http://cache.example:5000', accept: ['text/html', 'text/plain;q=0.5'] },
    { origin, accept: [] },
  ]);
  t.deepEqual((asked[0] as { query: URLSearchParams }).query.getAll('q'), ['a b', 'c']);
  t.is((await askPlain(running, { path: '/' })).status, 404);
});

test('a page loads nothing from elsewhere, runs nothing inline, is not guessed at, framed, or kept', async (t) => {
  const body = Buffer.from('<script>1</script>');
  const pages = new Map<string, PageMaker>([
    ['/', () => ({ contentType: 'text/html', body })],
    ['/fixed', async () => ({ contentType: 'text/css', body, headers: { 'Cache-Control': 'no-cache' } })],
  ]);
  const running = await start(t, { pages });
  for (const method of ['GET', 'HEAD']) {
    const { headers, body: sent } = await askPlain(running, { path: '/', method });
    t.is(headers['content-length'], String(body.length));
    t.is(sent.length, method === 'GET' ? body.length : 0);
    const policy = String(headers['content-security-policy']);
    t.regex(policy, /^default-src 'none'; script-src 'self'; style-src 'self';/);
    t.regex(policy, /base-uri 'none'; frame-ancestors 'none'$/);
    t.notRegex(policy, /unsafe|\*|https?:/);
    t.is(headers['x-content-type-options'], 'nosniff');
    t.is(headers['referrer-policy'], 'no-referrer');
    t.is(headers['cache-control'], 'no-store');
  }
  t.is((await askPlain(running, { path: '/fixed' })).headers['cache-control'], 'no-cache');
  t.is((await askPlain(running, { path: '/', method: 'POST' })).status, 405);
});

test('pages are for our own names: presented ones never show them', async (t) => {
  const pages = new Map([['/status', () => ({ contentType: 'text/plain', body: 'ours' })]]);
  const running = await start(t, { pages });
  t.is((await ask(running, { path: '/status', host: 'gateway.lan' })).body.toString(), 'ours');
  t.is((await askPlain(running, { path: '/status', host: 'registry.example' })).status, 308);
});

test('a page that cannot be made is an error that tells nothing', async (t) => {
  const page = (): never => {
    throw new Error('secret');
  };
  const running = await start(t, { pages: new Map([['/', page]]) });
  const answer = await askPlain(running, { path: '/' });
  t.is(answer.status, 500);
  t.notRegex(answer.body.toString(), /secret/);
});
