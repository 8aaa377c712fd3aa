import test from 'ava';
import fc from 'fast-check';
import { toClientError } from '../../src/upstream/failure.ts';
import { Limit } from '../../src/upstream/limit.ts';
import { pull, serve, textOf, upstreamOf } from './support.ts';

const never = new AbortController().signal;

test('no span of time ever sees more requests than the limit, however they come', async (t) => {
  const pauses = fc.array(fc.integer({ min: 0, max: 4000 }), { minLength: 1, maxLength: 60 });
  await fc.assert(
    fc.asyncProperty(pauses, async (steps) => {
      const limits = { count: 5, span: 10_000 };
      let now = 0;
      const limit = new Limit('test.example', () => now);
      limit.set({ requests: limits });
      const sent: number[] = [];
      for (const pause of steps) {
        now += pause;
        // What would have to wait is not waited for here: only what goes out at once is looked at.
        const went = await limit.admit(AbortSignal.abort()).then(
          () => true,
          () => false,
        );
        if (went) sent.push(now);
      }
      for (const at of sent) t.true(sent.filter((other) => other > at - limits.span && other <= at).length <= 5);
    }),
    { numRuns: 200 },
  );
});

test('a request over the limit is refused with the seconds that are left, and is let through then', async (t) => {
  let now = 0;
  const limit = new Limit('test.example', () => now);
  limit.set({ requests: { count: 2, span: 60_000 } });
  await limit.admit(never);
  now = 20_000;
  await limit.admit(never);
  const error = await t.throwsAsync(limit.admit(never), { name: 'UpstreamError' });
  t.like(error, { failure: 'throttled', status: undefined, retryAfter: 40 });
  t.like(toClientError(error), {
    code: 'TOOMANYREQUESTS',
    message: 'upstreams.test.example.limit.requests is reached: what is cached is served meanwhile',
    headers: { 'retry-after': '40' },
  });
  now = 59_999.5;
  await limit.admit(never);
  limit.set({});
  for (let n = 0; n < 100; n++) await limit.admit(never);
});

test('requests wait for their turn for a moment, one behind the other', async (t) => {
  const site = await serve(t, (_, response) => response.end('content'));
  const limit = new Limit('test.example');
  limit.set({ requests: { count: 10, span: 1000 } });
  const upstream = upstreamOf(t, { urls: [site.url], limit });
  const started = performance.now();
  const bodies = Array.from({ length: 20 }, async () => textOf((await upstream.request(pull())).body));
  t.deepEqual(
    await Promise.all(bodies),
    Array.from({ length: 20 }, () => 'content'),
  );
  t.true(performance.now() - started >= 990);
});

test('a limit of our own is no reason to take the upstream for one that throttles', async (t) => {
  const site = await serve(t, (_, response) => response.end('content'));
  const limit = new Limit('test.example');
  limit.set({ requests: { count: 1, span: 3_600_000 } });
  const upstream = upstreamOf(t, { urls: [site.url], limit });
  await textOf((await upstream.request(pull())).body);
  await t.throwsAsync(upstream.request(pull()), { message: /limit\.requests is reached/ });
  limit.set({});
  await textOf((await upstream.request(pull())).body);
  t.is(site.seen.length, 2);
});
