import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { blobsOf, makeImage, topOf } from '../../support/image.ts';
import { createAuthority } from '../../support/pki.ts';
import type { Effect } from '../../support/upstream/fault.ts';
import { startUpstream } from '../../support/upstream/upstream.ts';
import type { FaultCase, Report, Run } from '../case.ts';
import { within } from '../oracles.ts';
import { judge, Scene } from '../scene.ts';

const RECOVERY = 15_000;
/** Longer than every patience of the gateway with one upstream. */
const LIMIT = 120_000;
const PULLS = 20;

const OUTAGES: Readonly<Record<string, Effect | 'refused'>> = {
  'answers 429 with Retry-After: 3': { status: 429, headers: { 'retry-after': '3' } },
  'answers 429': { status: 429 },
  'answers 500': { status: 500 },
  'answers 502': { status: 502 },
  'answers 503 with Retry-After: 3': { status: 503, headers: { 'retry-after': '3' } },
  'resets every connection': { drop: 'rst' },
  'closes every connection': { drop: 'fin' },
  'accepts and is silent': { hang: true },
  'refuses connections': 'refused',
};

/** A registry with all its hosts that fails in one way, for everything. */
export const outages: FaultCase = {
  name: 'upstream-outages',
  shows: 'while the upstream throttles, fails, hangs or is gone, what is cached is served, and nothing of it sticks',
  runs: { quick: 9, full: 45 },
  async play(report) {
    await using scene = await Scene.open(report);
    let [tag, recovery] = [0, 0];
    for (const run of report.runs()) {
      const kinds = Object.entries(OUTAGES);
      const [name, outage] = kinds[run.index % kinds.length] ?? ['', 'refused' as const];
      const figures = await goThrough(scene, report, run, name, outage);
      tag = Math.max(tag, figures.tag);
      recovery = Math.max(recovery, figures.recovery);
    }
    report.note(`first stale tag at worst after ${tag.toFixed(0)} ms (goal 2000)`);
    report.note(`first success after the outage at worst after ${recovery.toFixed(0)} ms (goal 1000, or Retry-After)`);
    await scene.verify();
  },
};

async function goThrough(scene: Scene, report: Report, { seed }: Run, name: string, outage: Effect | 'refused') {
  const { upstream, gateway, client } = scene;
  const image = makeImage({ seed: `${seed}`, platforms: ['linux/amd64'], layers: [200_000] });
  const repository = `library/outage-${seed}`;
  upstream.add(repository, image);
  const base = `${gateway.own}/v2/docker.io/${repository}`;
  const digests = [
    [`${base}/manifests/${image.digest}`, image.digest],
    ...blobsOf(image).map((digest) => [`${base}/blobs/${digest}`, digest]),
  ] as const;
  const headers = { accept: topOf(image).mediaType };
  for (const [url = '', digest] of [...digests, [`${base}/manifests/latest`, image.digest]]) {
    report.expect((await client.request(url, { headers })).digest === digest, `before: ${url} is not right`);
  }
  const missing = scene.blob(`missing ${seed}`, 50_000);
  if (outage === 'refused') await upstream.down();
  else upstream.fault({}, outage);
  // Whoever asks for a tag within a second shares the answer.
  await sleep(1200);
  const started = performance.now();
  const stale = await client.request(`${base}/manifests/latest`, { headers, timeout: LIMIT });
  const tag = performance.now() - started;
  report.expect(judge(stale, image.digest) === 'right', `${name}: the tag is answered by ${stale.status}`);
  for (let turn = 0; turn < PULLS; turn++) {
    const [url = '', digest = ''] = digests[turn % digests.length] ?? [];
    const answer = await client.request(url, { headers, timeout: LIMIT });
    report.latency(answer.totalMs);
    report.expect(judge(answer, digest) === 'right', `${name}: a cached digest is answered by ${answer.status}`);
  }
  const failed = await scene.pull(missing, { timeout: LIMIT });
  report.expect(failed !== 'right', `${name}: what is not cached came from nowhere`);
  if (outage === 'refused') await upstream.up();
  else upstream.clearFaults();
  const over = performance.now();
  const recovered = await within(RECOVERY, async () => (await scene.pull(missing)) === 'right');
  const recovery = performance.now() - over;
  report.expect(recovered, `${name}: what was missing is still not served ${RECOVERY} ms after the outage`);
  return { tag, recovery };
}

interface Certificate {
  readonly names?: readonly string[];
  readonly days?: number;
  readonly foreign?: boolean;
  /** Has to be accepted: otherwise the harness is blind. */
  readonly isGood?: boolean;
}

const HOST = 'up.registry.example';
const CERTIFICATES: Readonly<Record<string, Certificate>> = {
  'that is good': { isGood: true },
  'that has expired': { days: -1 },
  'for another host': { names: ['other.example'] },
  'of an unknown authority': { foreign: true },
  'for the parent of the host': { names: ['registry.example'] },
  'with a NUL in its name': { names: [`${HOST}\0.evil.example`] },
  'for every name': { names: ['*'] },
  'for every name at the top': { names: ['*.example', '*.*.example'] },
};

/** Upstreams that cannot prove who they are. */
export const certificates: FaultCase = {
  name: 'bad-certificates',
  shows: 'an upstream with a certificate that does not prove its name is told nothing',
  runs: { quick: 8, full: 8 },
  async play(report) {
    for (const run of report.runs()) {
      const kinds = Object.entries(CERTIFICATES);
      const [name, certificate] = kinds[run.index % kinds.length] ?? ['', {}];
      const { foreign, isGood = false, names = [HOST], days = 1 } = certificate;
      const authority = createAuthority();
      const hosts = { registry: { name: HOST } };
      await using impostor = await startUpstream({ profile: 'mcr', hosts, tls: { authority, names, days } });
      const roles = impostor.roles.map((role) => impostor.authority(role));
      const ca = join(await report.folder(`${run.seed}`), 'ca.pem');
      await writeFile(ca, foreign === true ? createAuthority().ca : authority.ca);
      const settings = { urls: [impostor.url()], tokenHosts: roles, blobHosts: roles, ca };
      const config = { dns: { pins: { [HOST]: '127.0.0.1' } } };
      await using scene = await Scene.open(report, { further: { 'quay.io': settings }, config });
      const digest = `sha256:${'0'.repeat(64)}`;
      const { status } = await scene.client.request(`${scene.gateway.own}/v2/quay.io/library/app/blobs/${digest}`);
      report.expect(status >= 500 || isGood, `a certificate ${name}: answered ${status}`);
      report.expect(impostor.requests.length > 0 === isGood, `${impostor.requests.length} requests, with one ${name}`);
      await scene.verify();
    }
  },
};
