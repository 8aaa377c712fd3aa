import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Blob } from '../../support/content.ts';
import { blobsOf, makeImage, topOf } from '../../support/image.ts';
import { type Authority, createAuthority } from '../../support/pki.ts';
import type { Effect } from '../../support/upstream/fault.ts';
import { startUpstream } from '../../support/upstream/upstream.ts';
import type { FaultCase, Report, Run } from '../case.ts';
import { execute } from '../namespace.ts';
import { within } from '../oracles.ts';
import { judge, Scene } from '../scene.ts';

const RECOVERY = 60_000;
/** Longer than every patience of the gateway with one upstream. */
const LIMIT = 120_000;
const PULLS = 20;
/** Seconds. */
const RETRY_AFTER = 3;
const ASKED_IN_VAIN = 30;

const OUTAGES: Readonly<Record<string, Effect | 'refused'>> = {
  'answers 429 with Retry-After': { status: 429, headers: { 'retry-after': `${RETRY_AFTER}` } },
  'answers 429': { status: 429 },
  'answers 500': { status: 500 },
  'answers 502': { status: 502 },
  'answers 503 with Retry-After': { status: 503, headers: { 'retry-after': `${RETRY_AFTER}` } },
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
    for (const run of report.runs()) {
      const kinds = Object.entries(OUTAGES);
      const [name, outage] = kinds[run.seed % kinds.length] ?? ['', 'refused' as const];
      await goThrough(scene, report, run, name, outage);
    }
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
  report.time('first stale tag', performance.now() - started, 2000);
  report.expect(judge(stale, image.digest) === 'right', `${name}: the tag is answered by ${stale.status}`);
  for (let turn = 0; turn < PULLS; turn++) {
    const [url = '', digest = ''] = digests[turn % digests.length] ?? [];
    const answer = await client.request(url, { headers, timeout: LIMIT });
    report.latency(answer.totalMs);
    report.expect(judge(answer, digest) === 'right', `${name}: a cached digest is answered by ${answer.status}`);
  }
  const failed = await scene.pull(missing, { timeout: LIMIT });
  report.expect(failed !== 'right', `${name}: what is not cached came from nowhere`);
  if (name === 'answers 429 with Retry-After') await expectPatience(scene, missing);
  if (outage === 'refused') await upstream.up();
  else upstream.clearFaults();
  const over = performance.now();
  const recovered = await within(RECOVERY, async () => (await scene.pull(missing)) === 'right');
  const wait = name.endsWith('Retry-After') ? RETRY_AFTER * 1000 : 0;
  report.time('first success after an outage and its Retry-After', performance.now() - over, 1000 + wait);
  report.expect(recovered, `${name}: what was missing is still not served ${RECOVERY} ms after the outage`);
}

/** Who throttles is asked once in its Retry-After, and whoever asks meanwhile is told to wait as well. */
async function expectPatience({ report, upstream, gateway, client }: Scene, { digest }: Blob): Promise<void> {
  const url = `${gateway.own}/v2/docker.io/library/app/blobs/${digest}`;
  const [before, started] = [upstream.count(), performance.now()];
  for (let turn = 0; turn < ASKED_IN_VAIN; turn++) {
    const { status, headers } = await client.request(url, { timeout: LIMIT });
    const wait = Number(headers['retry-after']);
    report.expect(status === 429 && wait >= 1 && wait <= RETRY_AFTER, `throttled, and answered ${status}, ${wait} s`);
  }
  const asked = upstream.count() - before;
  // Once for a token and once for the blob.
  const most = 2 + 2 * Math.ceil((performance.now() - started) / (RETRY_AFTER * 1000));
  report.expect(asked <= most, `a throttling upstream was asked ${asked} times`);
}

interface Certificate {
  readonly names?: readonly string[];
  readonly days?: number;
  readonly foreign?: boolean;
  /** Nobody but itself vouches for it. */
  readonly selfSigned?: boolean;
  /** Has to be accepted: otherwise the harness is blind. */
  readonly isGood?: boolean;
}

const HOST = 'up.registry.example';
const CERTIFICATES: Readonly<Record<string, Certificate>> = {
  'that is good': { isGood: true },
  'that has expired': { days: -1 },
  'for another host': { names: ['other.example'] },
  'of an unknown authority': { foreign: true },
  'that is signed by itself': { selfSigned: true },
  'for the address alone': { names: ['127.0.0.1'] },
  'for a host with dots of another script': {
    names: [Buffer.from('up\u3002registry\u3002example').toString('latin1')],
  },
  'for the parent of the host': { names: ['registry.example'] },
  'with a NUL in its name': { names: [`${HOST}\0.evil.example`] },
  'for every name': { names: ['*'] },
  'for every name at the top': { names: ['*.example', '*.*.example'] },
};

/** Upstreams that cannot prove who they are. */
export const certificates: FaultCase = {
  name: 'bad-certificates',
  shows: 'an upstream with a certificate that does not prove its name is told nothing',
  runs: { quick: Object.keys(CERTIFICATES).length, full: 200 },
  needs: ['openssl'],
  async play(report) {
    for (const run of report.runs()) {
      const kinds = Object.entries(CERTIFICATES);
      const [name, certificate] = kinds[run.seed % kinds.length] ?? ['', {}];
      const { foreign, selfSigned, isGood = false, names = [HOST], days = 1 } = certificate;
      const dir = await report.folder(`${run.seed}`);
      const authority = selfSigned === true ? await signedByItself(dir) : createAuthority();
      const hosts = { registry: { name: HOST } };
      await using impostor = await startUpstream({ profile: 'mcr', hosts, tls: { authority, names, days } });
      const roles = impostor.roles.map((role) => impostor.authority(role));
      const ca = join(dir, 'ca.pem');
      await writeFile(ca, foreign === true || selfSigned === true ? createAuthority().ca : authority.ca);
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

/** A certificate for the host that is its own authority, which nobody trusts. */
async function signedByItself(dir: string): Promise<Authority> {
  const [keyFile, file] = [join(dir, 'self.key'), join(dir, 'self.crt')];
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', keyFile];
  const names = ['-subj', `/CN=${HOST}`, '-addext', `subjectAltName=DNS:${HOST}`, '-days', '1'];
  await execute('openssl', ['req', '-x509', ...key, ...names, '-out', file]);
  const issued = { cert: await readFile(file, 'utf8'), key: await readFile(keyFile, 'utf8') };
  return { ca: issued.cert, issue: () => issued };
}
