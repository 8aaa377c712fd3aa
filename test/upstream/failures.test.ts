import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { Breaker } from '../../src/upstream/breaker.ts';
import type { UpstreamError } from '../../src/upstream/contract.ts';
import { parseRetryAfter } from '../../src/upstream/verdict.ts';
import { deadPort, eventsOf, pull, type Respond, serve, textOf, upstreamOf } from './support.ts';

/** Answers the first requests with what is listed, every later one with 200. */
function first(...statuses: readonly number[]): Respond {
  let at = 0;
  return (_request, response) => response.writeHead(statuses[at++] ?? 200).end('body');
}

for (const status of [408, 500, 502, 503, 504, 599]) {
  test(`two answers of ${status} are got over, 100 to 400 ms apart`, async (t) => {
    const site = await serve(t, first(status, status));
    const started = performance.now();
    t.is((await upstreamOf(t, { urls: [site.url] }).request(pull())).status, 200);
    t.is(site.seen.length, 3);
    t.true(performance.now() - started >= 195);
  });
}

test('a third 5xx is a failure that carries the upstream’s own document', async (t) => {
  const document = '{"errors":[{"code":"UNAVAILABLE"}]}';
  const site = await serve(t, (_request, response) => {
    response.writeHead(503, { 'content-type': 'application/json' }).end(document);
  });
  const error = await t.throwsAsync<UpstreamError>(upstreamOf(t, { urls: [site.url] }).request(pull()));
  t.like(error, { failure: 'unreachable', status: 503 });
  t.is(error?.body?.contentType, 'application/json');
  t.is(Buffer.from(error?.body?.bytes ?? []).toString(), document);
  t.is(site.seen.length, 3);
});

test('501 is not asked twice, and a huge error document is left out', async (t) => {
  const site = await serve(t, (_request, response) =>
    response
      .writeHead(501)
      .on('error', () => {})
      .end('x'.repeat(70_000)),
  );
  const error = await t.throwsAsync<UpstreamError>(upstreamOf(t, { urls: [site.url] }).request(pull()));
  t.like(error, { failure: 'unreachable', status: 501, body: undefined });
  t.is(site.seen.length, 1);
});

test('a connection reset before the head is got over', async (t) => {
  let resets = 0;
  const site = await serve(t, (_request, response) => {
    resets += 1;
    if (resets <= 2) response.socket?.resetAndDestroy();
    else response.end('body');
  });
  t.is(await textOf((await upstreamOf(t, { urls: [site.url] }).request(pull())).body), 'body');
});

test('the next base URL answers when one cannot be connected to, and stays the first choice', async (t) => {
  const notices = eventsOf(t, 'notice');
  const dead = new URL(`http://127.0.0.1:${await deadPort(t)}`);
  const good = await serve(t, (_request, response) => response.end('body'));
  const upstream = upstreamOf(t, { name: 'failover.example', urls: [dead, good.url] });
  t.is((await upstream.request(pull())).status, 200);
  t.true(notices.some(({ message }) => message.includes(`failover.example: going on with ${good.url.host}`)));
  t.is((await upstream.request(pull())).status, 200);
  t.is(notices.filter(({ message }) => message.startsWith('failover.example: going on with')).length, 1);
  t.true(upstream.available);
});

test('the next base URL answers when one says 5xx, and the failing one is spared for a while', async (t) => {
  const bad = await serve(t, (_request, response) => response.writeHead(500).end());
  const good = await serve(t, (_request, response) => response.end('body'));
  const upstream = upstreamOf(t, { urls: [bad.url, good.url] });
  for (let n = 0; n < 3; n += 1) t.is((await upstream.request(pull())).status, 200);
  t.deepEqual([bad.seen.length, good.seen.length], [3, 3]);
});

test('answers of a registry are no reason to ask another base URL', async (t) => {
  for (const status of [401, 403, 404, 429]) {
    const one = await serve(t, (_request, response) => response.writeHead(status).end());
    const other = await serve(t, (_request, response) => response.end('body'));
    const asked = upstreamOf(t, { urls: [one.url, other.url] }).request(pull());
    if (status === 429) t.like(await t.throwsAsync(asked), { failure: 'throttled' });
    else t.is((await asked).status, status);
    t.is(other.seen.length, 0);
  }
});

test('a client’s header is shown at the base URL in use', async (t) => {
  const dead = new URL(`http://127.0.0.1:${await deadPort(t)}`);
  const good = await serve(t, (_request, response) => response.end('body'));
  const identity = { kind: 'forward', authorization: 'Bearer client', principal: 'p' } as const;
  await upstreamOf(t, { urls: [dead, good.url] }).request(pull({ identity }));
  t.is(good.seen[0]?.headers.authorization, 'Bearer client');
});

test('429 is not retried, carries the document, and the principal waits without asking', async (t) => {
  const site = await serve(t, ({ headers }, response) => {
    if (headers.authorization === 'Bearer rich') response.end('body');
    else response.writeHead(429, { 'retry-after': '7', 'content-type': 'application/json' }).end('{"errors":[]}');
  });
  const upstream = upstreamOf(t, { name: 'throttled.example', urls: [site.url] });
  const notices = eventsOf(t, 'notice');
  for (let n = 0; n < 3; n += 1) {
    const error = await t.throwsAsync<UpstreamError>(upstream.request(pull()));
    t.like(error, { failure: 'throttled', status: 429, retryAfter: 7 });
    t.is(Buffer.from(error?.body?.bytes ?? []).toString(), '{"errors":[]}');
  }
  t.is(site.seen.length, 1);
  const rich = { kind: 'forward', authorization: 'Bearer rich', principal: 'rich' } as const;
  t.is((await upstream.request(pull({ identity: rich }))).status, 200);
  const poor = { kind: 'forward', authorization: 'Bearer poor', principal: 'poor' } as const;
  await t.throwsAsync(upstream.request(pull({ identity: poor })));
  t.is(site.seen.length, 3);
  t.true(upstream.available);
  t.is(notices.filter(({ message }) => message.startsWith('throttled.example')).length, 2);
});

test('after the wait the upstream is asked again', async (t) => {
  let calls = 0;
  const site = await serve(t, (_request, response) => {
    calls += 1;
    response.writeHead(calls === 1 ? 429 : 200, { 'retry-after': '1' }).end();
  });
  const upstream = upstreamOf(t, { urls: [site.url] });
  await t.throwsAsync(upstream.request(pull()));
  await sleep(1_050);
  t.is((await upstream.request(pull())).status, 200);
});

test('Retry-After is seconds or a date, at least 1 s, at most ten minutes, 5 s when it says nothing', (t) => {
  const now = Date.parse('2026-11-21T12:00:00Z');
  const cases: readonly (readonly [string | undefined, number])[] = [
    [undefined, 5],
    ['', 5],
    ['0', 1],
    ['1', 1],
    ['30', 30],
    [' 30 ', 30],
    ['86400', 600],
    ['99999999999999999999', 600],
    ['Sat, 21 Nov 2026 12:01:30 GMT', 90],
    ['Sat, 21 Nov 2026 11:00:00 GMT', 1],
    ['Sun, 22 Nov 2026 12:00:00 GMT', 600],
    ['985.86µs', 5],
    ['soon', 5],
  ];
  for (const [value, seconds] of cases) t.is(parseRetryAfter(value, now), seconds, String(value));
});

test('after three failed connections requests fail at once, until a probe gets through', async (t) => {
  const notices = eventsOf(t, 'notice');
  const site = await serve(t, (_request, response) => response.end('body'));
  await site.close();
  const upstream = upstreamOf(t, { name: 'breaker.example', urls: [site.url] });
  t.true(upstream.available);
  t.like(await t.throwsAsync(upstream.request(pull())), { failure: 'unreachable' });
  t.false(upstream.available);
  for (let n = 0; n < 100; n += 1)
    await t.throwsAsync(upstream.request(pull()), { message: /tried again every second/ });
  await sleep(1_200);
  t.false(upstream.available);
  site.server.listen(site.port, '127.0.0.1');
  const deadline = performance.now() + 5_000;
  while (!upstream.available && performance.now() < deadline) await sleep(20);
  t.is((await upstream.request(pull())).status, 200);
  const mine = notices.filter(({ message }) => message.startsWith('breaker.example'));
  t.deepEqual(
    mine.map(({ level }) => level),
    ['warn', 'info'],
  );
});

test('prompt answers, however bad, do not open the breaker', async (t) => {
  const site = await serve(t, (_request, response) => response.writeHead(503).end());
  const upstream = upstreamOf(t, { urls: [site.url] });
  for (let n = 0; n < 2; n += 1) await t.throwsAsync(upstream.request(pull()));
  t.true(upstream.available);
  t.is(site.seen.length, 6);
});

test('an unreachable redirect target does not open the registry’s breaker', async (t) => {
  const dead = `http://127.0.0.1:${await deadPort(t)}/data`;
  const site = await serve(t, (_request, response) => response.writeHead(307, { location: dead }).end());
  const upstream = upstreamOf(t, { urls: [site.url] });
  for (let n = 0; n < 2; n += 1) await t.throwsAsync(upstream.request(pull()));
  t.true(upstream.available);
});

test('a name that cannot be resolved counts as a failed connection', async (t) => {
  const upstream = upstreamOf(t, { urls: [new URL('http://a_b.example')] });
  t.like(await t.throwsAsync(upstream.request(pull())), { failure: 'unreachable' });
  t.false(upstream.available);
});

test('a breaker opens at the third failure in a row only, and closes at the first success', (t) => {
  const changes: string[] = [];
  using breaker = new Breaker(
    () => new Promise(() => {}),
    (state) => changes.push(state),
  );
  breaker.failed();
  breaker.failed();
  breaker.succeeded();
  breaker.failed();
  breaker.failed();
  t.true(breaker.admits());
  breaker.failed();
  breaker.failed();
  t.false(breaker.admits());
  breaker.succeeded();
  t.true(breaker.admits());
  t.deepEqual(changes, ['open', 'closed']);
});
