import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { publish } from '../../src/events.ts';
import { Catalog } from '../../src/pages/catalog.ts';
import { Counted } from '../../src/pages/counted.ts';
import { Fetches, shownFetches, together } from '../../src/pages/fetches.ts';
import { Overview, type Sources } from '../../src/pages/overview.ts';
import { countedStatus } from '../../src/pages/status.ts';
import { startTelemetry } from '../../src/telemetry/telemetry.ts';
import { requestEvent } from '../telemetry/events.ts';

const UPSTREAMS = ['docker.io', 'ghcr.io', 'quay.io', 'gcr.io'];

async function counted(publishAll: () => void): Promise<Counted> {
  const access = { file: '/dev/null', format: 'json' } as const;
  await using telemetry = startTelemetry({ level: 'silent', access, upstreams: UPSTREAMS });
  publishAll();
  return new Counted(await telemetry.metrics());
}

test.serial('hits, bytes and states are what the metrics say', async (t) => {
  const now = Date.now();
  const figures = await counted(() => {
    for (const cache of ['hit', 'revalidated', 'stale', 'collapsed', 'miss', 'bypass', 'none'] as const)
      publish('request', requestEvent({ cache, bytes: 100 }));
    publish('upstreamBytes', { upstream: 'docker.io', bytes: 1000 });
    publish('follower', { phase: 'joined' });
    for (const upstream of UPSTREAMS.slice(0, 3))
      publish('upstreamRequest', { upstream, kind: 'blob', method: 'GET', status: 200, time: 1 });
    publish('breaker', { upstream: 'quay.io', origin: 'https://quay.io', state: 'open' });
    publish('coolDown', { upstream: 'ghcr.io', principal: 'anonymous', until: now + 60_000 });
    publish('budget', { upstream: 'docker.io', identity: 'anonymous', remaining: 76 });
  });
  const { answers, upstreams, since } = countedStatus(figures, UPSTREAMS, now);
  t.deepEqual(answers, { requests: 6, hits: 4, sent: 700, saved: 400, fetched: 1000, waiting: 1 });
  t.true(Date.parse(since ?? '') <= now);
  t.deepEqual(
    upstreams.map(({ name, state, requests }) => [name, state, requests]),
    [
      ['docker.io', 'answering', 1],
      ['ghcr.io', 'throttled', 1],
      ['quay.io', 'unreachable', 1],
      ['gcr.io', 'unasked', 0],
    ],
  );
  t.like(upstreams[0], { fetched: 1000, saved: 400, limits: [{ identity: 'anonymous', remaining: 76 }] });
  t.is(upstreams[1]?.until, new Date(now + 60_000).toISOString());
  t.is(countedStatus(figures, UPSTREAMS, now + 61_000).upstreams[1]?.state, 'answering');
});

test.serial('how often a client may ask by its own login is nobody else\u2019s business', async (t) => {
  const now = Date.now();
  const figures = await counted(() => {
    const budget = { upstream: 'docker.io', remaining: 5 };
    publish('budget', { ...budget, identity: 'forward' });
    publish('budget', { ...budget, identity: 'configured', reset: now + 1000 });
    publish('budget', { ...budget, identity: 'configured-2', reset: now - 1 });
    publish('coolDown', { upstream: 'docker.io', principal: 'credential:abc', until: now + 60_000 });
  });
  const [hub] = countedStatus(figures, ['docker.io'], now).upstreams;
  t.is(hub?.state, 'unasked');
  t.deepEqual(hub?.limits, [{ identity: 'configured', remaining: 5, reset: new Date(now + 1000).toISOString() }]);
});

const fill = { digest: 'sha256:a', repository: 'docker.io/a', upstream: 'docker.io', bytes: 0, size: 100 } as const;

test.serial('a fetch is followed from its start to its end, whatever becomes of it', (t) => {
  using fetches = new Fetches();
  publish('fill', { ...fill, phase: 'started' });
  publish('received', { digest: 'sha256:a', bytes: 40 });
  publish('received', { digest: 'sha256:unknown', bytes: 40 });
  const { upstream: _, bytes: __, ...started } = fill;
  t.deepEqual(fetches.running(), [{ ...started, received: 40 }]);
  publish('fill', { ...fill, repository: '', bytes: 60, phase: 'switched' });
  t.deepEqual(fetches.running(), [{ ...started, received: 60 }]);
  for (const phase of ['committed', 'parked', 'failed'] as const) {
    publish('fill', { ...fill, digest: phase, phase: 'resumed' });
    t.is(fetches.running().length, 2);
    publish('fill', { ...fill, digest: phase, phase });
    t.is(fetches.running().length, 1);
  }
  fetches[Symbol.dispose]();
  publish('fill', { ...fill, phase: 'committed' });
  t.is(fetches.running().length, 1);
});

test('fetches of several processes count once each, and what not everybody may know of has no name', async (t) => {
  const one = { digest: 'a', repository: 'docker.io/a', size: 10, received: 1 };
  const all = together([
    [one],
    [
      { ...one, received: 5 },
      { ...one, digest: 'b', repository: 'docker.io/secret' },
    ],
  ]);
  const shown = await shownFetches(all, async (name) => name === 'docker.io/a');
  t.deepEqual(shown, { running: 2, size: 20, received: 6, named: [{ ...one, received: 5 }] });
  const many = Array.from({ length: 200 }, (_, index) => ({ ...one, digest: String(index) }));
  const { running, named } = await shownFetches(many, async () => true);
  t.deepEqual([running, named.length], [200, 50]);
});

test('however many look, the figures are asked for once a second, and never when nobody does', async (t) => {
  let asked = 0;
  let hidden = '';
  const sources: Sources = {
    isReady: () => true,
    warnings: () => [],
    figures: async () => {
      asked += 1;
      return [];
    },
    space: () => ({ used: 1, limit: 2, reserved: 0 }),
    fetches: async () => [{ digest: 'a', repository: 'docker.io/a', size: 1, received: 0 }],
    upstreams: () => [],
    mayShow: async (name) => name !== hidden,
  };
  const overview = new Overview(sources, new Catalog(async () => [], sources.mayShow));
  await sleep(20);
  t.is(asked, 0);
  const all = await Promise.all(Array.from({ length: 100 }, () => overview.status()));
  t.is(asked, 1);
  t.deepEqual(all[0]?.store, { used: 1, limit: 2 });
  t.is(all[0]?.fetches.named.length, 1);
  // Who may know of it is asked each time.
  hidden = 'docker.io/a';
  t.like((await overview.status()).fetches, { running: 1, named: [] });
});
