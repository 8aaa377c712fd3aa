import { randomUUID } from 'node:crypto';
import test from 'ava';
import { publish } from '../../src/events.ts';
import { startTelemetry } from '../../src/telemetry/telemetry.ts';
import { requestEvent } from './events.ts';

const access = { file: '/dev/null', format: 'json' } as const;

/** The samples that `publishAll` leaves behind: series → value. */
async function samples(publishAll: () => void, upstreams = ['docker.io']): Promise<Map<string, number>> {
  await using telemetry = startTelemetry({ level: 'silent', access, upstreams });
  publishAll();
  const lines = (await telemetry.metricsText()).split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.split(' ').at(-1))]));
}

test.serial('requests, their bytes and their first byte are counted', async (t) => {
  const found = await samples(() => {
    publish('request', requestEvent());
    publish('request', requestEvent({ bytes: 76, firstByte: 20 }));
    publish('request', requestEvent({ status: 404, cache: 'miss', bytes: 5 }));
  });
  const labels = 'door="transparent",upstream="docker.io",kind="manifest"';
  t.is(found.get(`layover_requests_total{${labels},cache="hit",status="2xx"}`), 2);
  t.is(found.get(`layover_requests_total{${labels},cache="miss",status="4xx"}`), 1);
  t.is(found.get('layover_response_bytes_total{upstream="docker.io",kind="manifest",cache="hit"}'), 1100);
  t.is(found.get('layover_time_to_first_byte_seconds_bucket{le="0.001",cache="hit"}'), 1);
  t.is(found.get('layover_time_to_first_byte_seconds_count{cache="hit"}'), 2);
});

test.serial('scraping twice does not count twice', async (t) => {
  await using telemetry = startTelemetry({ level: 'error', access, upstreams: ['docker.io'] });
  publish('upstreamBytes', { upstream: 'docker.io', bytes: 10 });
  await telemetry.metricsText();
  publish('upstreamBytes', { upstream: 'docker.io', bytes: 5 });
  t.regex(await telemetry.metricsText(), /^layover_upstream_bytes_total\{upstream="docker\.io"\} 15$/m);
});

test.serial('requests to upstreams are told apart by status, and by having had no answer', async (t) => {
  const request = { upstream: 'docker.io', kind: 'blob', method: 'GET', time: 30 } as const;
  const found = await samples(() => {
    publish('upstreamRequest', { ...request, status: 200 });
    publish('upstreamRequest', { ...request, status: 429 });
    publish('upstreamRequest', { ...request, error: 'connect' });
  });
  for (const status of ['200', '429', 'error'])
    t.is(found.get(`layover_upstream_requests_total{upstream="docker.io",kind="blob",status="${status}"}`), 1);
  t.is(found.get('layover_upstream_request_seconds_count{upstream="docker.io"}'), 3);
});

test.serial('a fill runs from its start to its end, however often it resumes', async (t) => {
  const fill = { digest: 'sha256:a', repository: 'library/nginx', upstream: 'docker.io', bytes: 0, size: 1 } as const;
  const found = await samples(() => {
    for (const phase of ['started', 'resumed', 'switched'] as const) publish('fill', { ...fill, phase });
    publish('fill', { ...fill, digest: 'sha256:b', phase: 'started' });
    publish('fill', { ...fill, digest: 'sha256:b', phase: 'committed' });
    publish('follower', { phase: 'joined' });
    publish('follower', { phase: 'joined' });
    publish('follower', { phase: 'left' });
    publish('proof', { upstream: 'docker.io', result: 'refused' });
  });
  t.is(found.get('layover_fills_running'), 1);
  t.is(found.get('layover_fills_total{upstream="docker.io",phase="started"}'), 2);
  t.is(found.get('layover_followers'), 1);
  t.is(found.get('layover_proofs_total{upstream="docker.io",result="refused"}'), 1);
});

test.serial('names that are not configured, unknown kinds and odd statuses add one series, not one each', async (t) => {
  const found = await samples(() => {
    for (let index = 0; index < 50; index++) {
      const upstream = `evil-${index}.test`;
      publish('request', requestEvent({ upstream, kind: `kind-${index}`, status: 600 + index }));
      publish('upstreamRequest', { upstream, kind: 'other', method: 'GET', status: 1000 + index, time: 1 });
    }
  });
  const ours = [...found].filter(([series]) => /^layover_(upstream_)?requests_total/.test(series));
  t.deepEqual(ours, [
    ['layover_requests_total{door="transparent",upstream="other",kind="other",cache="hit",status="other"}', 50],
    ['layover_upstream_requests_total{upstream="other",kind="other",status="other"}', 50],
  ]);
});

test.serial('requests that concern no upstream are counted as such', async (t) => {
  const { upstream: _, ...own } = requestEvent({ kind: 'ping', cache: 'none', door: 'own' });
  const found = await samples(() => publish('request', own));
  t.is(found.get('layover_requests_total{door="own",upstream="none",kind="ping",cache="none",status="2xx"}'), 1);
});

test.serial('the process and its event loop are measured too', async (t) => {
  const found = await samples(() => {});
  t.true((found.get('process_resident_memory_bytes') ?? 0) > 1e6);
  t.true(found.has('nodejs_eventloop_lag_seconds'));
});

test.serial('after closing nothing is counted any more', async (t) => {
  const telemetry = startTelemetry({ level: 'error', access, upstreams: ['docker.io'] });
  await telemetry.close();
  t.notThrows(() => publish('request', requestEvent()));
  t.notRegex(await telemetry.metricsText(), /docker\.io/);
});

test.serial('the end of each certificate and the hosts without one are shown as they are now', async (t) => {
  const found = await samples(() => {
    publish('certificates', { ends: { root: 2_000_000, next: 3_000_000 }, uncovered: ['a.example', 'b.example'] });
    publish('certificates', { ends: { root: 4_000_000 }, uncovered: ['b.example'] });
  });
  t.is(found.get('layover_certificate_end_timestamp_seconds{certificate="root"}'), 4000);
  t.false(found.has('layover_certificate_end_timestamp_seconds{certificate="next"}'));
  t.is(found.get('layover_hosts_uncovered'), 1);
});

test.serial('bytes that were not fetched for an answer are saved', async (t) => {
  const found = await samples(() => {
    for (const cache of ['hit', 'revalidated', 'stale', 'collapsed', 'miss', 'bypass', 'none'] as const)
      publish('request', requestEvent({ cache, bytes: 10 }));
  });
  t.is(found.get('layover_saved_bytes_total{upstream="docker.io"}'), 40);
});

test.serial('tokens are counted by who issued them, refusals are not', async (t) => {
  const token = { kind: 'token', cache: 'none', why: 'token' } as const;
  const found = await samples(() => {
    publish('request', requestEvent(token));
    publish('request', requestEvent({ ...token, why: 'offline-token' }));
    publish('request', requestEvent({ ...token, status: 401 }));
  });
  t.is(found.get('layover_tokens_total{upstream="docker.io",issuer="upstream"}'), 1);
  t.is(found.get('layover_tokens_total{upstream="docker.io",issuer="gateway"}'), 1);
});

test.serial('open breakers are counted for each upstream, none of them from the start', async (t) => {
  const found = await samples(() => {
    for (const origin of ['https://a.test', 'https://b.test', 'https://c.test'])
      publish('breaker', { upstream: 'docker.io', origin, state: 'open' });
    publish('breaker', { upstream: 'docker.io', origin: 'https://b.test', state: 'closed' });
    publish('breaker', { upstream: 'docker.io', origin: 'https://c.test', state: 'half-open' });
  }, ['docker.io', 'ghcr.io']);
  t.is(found.get('layover_upstream_open_breakers{upstream="docker.io"}'), 1);
  t.is(found.get('layover_upstream_open_breakers{upstream="ghcr.io"}'), 0);
});

test.serial('what upstreams say about their limits is shown for each identity, as it was said last', async (t) => {
  const found = await samples(() => {
    publish('budget', { upstream: 'docker.io', identity: 'anonymous', remaining: 76 });
    publish('budget', { upstream: 'docker.io', identity: 'anonymous', remaining: 75 });
    publish('budget', { upstream: 'docker.io', identity: 'configured', remaining: 200, reset: 5_000 });
  });
  const remaining = 'layover_upstream_ratelimit_remaining';
  t.is(found.get(`${remaining}{upstream="docker.io",identity="anonymous"}`), 75);
  t.is(found.get(`${remaining}{upstream="docker.io",identity="configured"}`), 200);
  const resets = [...found].filter(([series]) => series.includes('ratelimit_reset'));
  t.deepEqual(resets, [
    ['layover_upstream_ratelimit_reset_timestamp_seconds{upstream="docker.io",identity="configured"}', 5],
  ]);
});

test.serial('ten thousand random names add no series', async (t) => {
  const series = async (names: number): Promise<string[]> => {
    const found = await samples(() => {
      for (let index = 0; index < names; index++) {
        const upstream = `u${randomUUID()}.test`;
        const digest = `sha256:${randomUUID()}`;
        publish('request', requestEvent({ upstream, repository: upstream, reference: digest, kind: upstream }));
        publish('request', requestEvent({ upstream, kind: 'token', path: digest, host: upstream, userAgent: digest }));
        publish('upstreamRequest', { upstream, kind: 'other', method: upstream, error: digest, time: 1 });
        publish('upstreamBytes', { upstream, bytes: 1 });
        publish('breaker', { upstream, origin: `https://${upstream}`, state: 'open' });
        publish('budget', { upstream, identity: 'forward', remaining: index, reset: 1 });
        publish('fill', {
          upstream,
          repository: upstream,
          digest,
          bytes: 1,
          size: 1,
          phase: 'started',
          reason: digest,
        });
        publish('fill', { upstream, repository: upstream, digest, bytes: 1, size: 1, phase: 'failed', reason: digest });
        publish('proof', { upstream, result: 'refused' });
      }
    });
    return [...found.keys()].filter((name) => name.startsWith('layover_')).sort();
  };
  t.deepEqual(await series(10_000), await series(1));
});

test.serial('the space of the cache, its eviction and its index are told', async (t) => {
  const found = await samples(() => {
    publish('space', { phase: 'state', used: 800, reserved: 50, limit: 1000 });
    publish('space', { phase: 'refused', bytes: 500 });
    publish('space', { phase: 'failing', code: 'ENOSPC' });
    publish('parked', { bytes: 70 });
    publish('eviction', { images: 2, bytes: 300 });
    publish('eviction', { images: 1, bytes: 100 });
    publish('index', { state: 'building' });
    publish('index', { state: 'ready' });
  });
  const expected = {
    layover_store_used_bytes: 800,
    layover_store_reserved_bytes: 50,
    layover_store_limit_bytes: 1000,
    layover_store_parked_bytes: 70,
    layover_store_disk_failing: 1,
    layover_store_refusals_total: 1,
    layover_evicted_images_total: 3,
    layover_evicted_bytes_total: 400,
    layover_index_ready: 1,
  };
  for (const [name, value] of Object.entries(expected)) t.is(found.get(name), value, name);
  const recovered = await samples(() => {
    publish('space', { phase: 'failing', code: 'EIO' });
    publish('space', { phase: 'recovered' });
  });
  t.is(recovered.get('layover_store_disk_failing'), 0);
});
