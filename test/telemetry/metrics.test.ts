import test from 'ava';
import { publish } from '../../src/events.ts';
import { startTelemetry } from '../../src/telemetry/telemetry.ts';
import { requestEvent } from './events.ts';

const access = { file: '/dev/null', format: 'json' } as const;

/** The samples that `publishAll` leaves behind: series → value. */
async function samples(publishAll: () => void, upstreams = ['docker.io']): Promise<Map<string, number>> {
  await using telemetry = startTelemetry({ level: 'error', access, upstreams });
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
  const fill = { digest: 'sha256:a', repository: 'library/nginx', upstream: 'docker.io', bytes: 0 } as const;
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
