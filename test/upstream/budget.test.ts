import test from 'ava';
import { subscribe } from '../../src/events.ts';
import { parseBudget } from '../../src/upstream/budget.ts';
import { pull, serve, textOf, upstreamOf } from './support.ts';

const NOW = 1_800_000_000_000;

test('what a registry says about its limit is read in each of its forms', (t) => {
  const read = (headers: Record<string, string>) => parseBudget(headers, NOW);
  t.deepEqual(read({ 'ratelimit-limit': '100;w=21600', 'ratelimit-remaining': '76;w=21600' }), { remaining: 76 });
  t.deepEqual(read({ 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': '1800000060' }), {
    remaining: 0,
    reset: NOW + 60_000,
  });
  t.deepEqual(read({ 'ratelimit-remaining': '5', 'ratelimit-reset': '30' }), { remaining: 5, reset: NOW + 30_000 });
  t.deepEqual(read({ 'ratelimit-remaining': '5', 'ratelimit-reset': 'soon' }), { remaining: 5 });
  for (const remaining of ['', 'many', '-1', '1.5', '9'.repeat(40)])
    t.is(read({ 'ratelimit-remaining': remaining }), undefined, remaining);
  t.is(read({}), undefined);
});

test('the limit is told with whose it is, for every answer of the registry itself, refusals too', async (t) => {
  let left = 2;
  const cdn = await serve(t, (_request, response) => response.setHeader('ratelimit-remaining', '9').end('x'));
  const site = await serve(t, ({ url }, response) => {
    if (url.includes('blobs')) return void response.writeHead(307, { location: cdn.url.href }).end();
    left -= 1;
    response.writeHead(left < 0 ? 429 : 200, { 'ratelimit-remaining': `${Math.max(left, 0)};w=21600` }).end('x');
  });
  const account = { username: 'u', password: 'p' };
  const told: object[] = [];
  t.teardown(subscribe('budget', (event) => event.upstream === 'limited.example' && told.push(event)));
  const upstream = upstreamOf(t, { name: 'limited.example', urls: [site.url], accounts: { a: account, b: account } });
  await textOf((await upstream.request(pull())).body);
  const forward = { kind: 'forward', authorization: 'Bearer t', principal: 'p' } as const;
  await textOf((await upstream.request(pull({ identity: forward }))).body);
  await t.throwsAsync(upstream.request(pull()));
  await textOf(
    (await upstream.request(pull({ kind: 'blob', path: '/v2/library/nginx/blobs/a', identity: forward }))).body,
  );
  for (const name of ['a', 'b'])
    await t.throwsAsync(upstream.request(pull({ identity: { kind: 'configured', account: name } })));
  t.deepEqual(told, [
    { upstream: 'limited.example', identity: 'anonymous', remaining: 1 },
    { upstream: 'limited.example', identity: 'forward', remaining: 0 },
    { upstream: 'limited.example', identity: 'anonymous', remaining: 0 },
    { upstream: 'limited.example', identity: 'configured', remaining: 0 },
    { upstream: 'limited.example', identity: 'configured-2', remaining: 0 },
  ]);
});
