import { setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import type { Client, ClientResponse } from '../../support/client.ts';
import { type Blob, corrupted } from '../../support/content.ts';
import { type FakeUpstream, startUpstream } from '../../support/upstream/upstream.ts';
import type { FaultCase, Report, Run } from '../case.ts';
import { HOST, login } from '../login.ts';
import { publishedIn, within } from '../oracles.ts';
import { judge, type Outcome, Scene } from '../scene.ts';

const PASSWORD = 'canary-secret-of-ada';
/** Seconds that a token opens anything. */
const TOKEN_LIFE = 10;
/** Longer than any patience of the gateway with a source. */
const PATIENCE = 60_000;

interface Stage {
  readonly report: Report;
  readonly scene: Scene;
  /** docker.io's neighbour, which names the same digests. */
  readonly quay: FakeUpstream;
  readonly client: Client;
}

/** One source of a missing blob goes bad while others have it too. */
export const displacedSources: FaultCase = {
  name: 'displaced-sources',
  shows: "a source that lies, goes silent or is closed in mid-fill is left for another follower's, and opens nothing",
  runs: { quick: 4, full: 60 },
  async play(report) {
    await using quay = await startUpstream({ profile: 'quay', tls: false });
    const roles = quay.roles.map((role) => quay.authority(role));
    const further = { 'quay.io': { urls: [quay.url()], tokenHosts: roles, blobHosts: roles } };
    const upstream = { users: { ada: PASSWORD }, tokenLife: TOKEN_LIFE };
    await using scene = await Scene.open(report, { upstream, further });
    using client = await scene.gateway.client(HOST);
    const stage = { report, scene, quay, client };
    for (const run of report.runs()) {
      await KINDS[run.seed % KINDS.length]?.(stage, run);
      scene.upstream.clearFaults();
      quay.clearFaults();
    }
    await scene.verify();
  },
};

const KINDS: readonly ((stage: Stage, run: Run) => Promise<void>)[] = [
  wrongBytes,
  silence,
  another,
  closed,
  together,
  silentStart,
];

/** The first source's bytes are wrong, which shows at the end: the second one brings everything anew, unasked. */
async function wrongBytes(stage: Stage, { seed, random }: Run): Promise<void> {
  const { report, scene, quay } = stage;
  const blob = both(stage, seed, random.size(1000, 4 << 20));
  const { size } = blob.content;
  const [corruptAt, stallAfter] = [random.int(0, size - 1), random.int(0, size - 1)];
  const fault = scene.upstream.fault({ role: 'cdn', reference: blob.digest }, { corruptAt, stallAfter });
  const [first, second] = await followBoth(stage, blob, () => fault.release());
  report.expect(first !== 'right' || size <= 1 << 16, 'an answer with wrong bytes in it is right');
  await expectStored(stage, blob);
  report.expect(downloads(quay, blob) === 1, `the second source was asked ${downloads(quay, blob)} times`);
  const isTold = second === 'right' || second === 'broken' || isDeepStrictEqual(second, { refused: 504 });
  report.expect(isTold, `the second follower: ${JSON.stringify(second)}`);
  await expectRight(stage, blob, 'docker.io');
}

/** The first source goes silent for ever: the second one brings the rest, and both followers are served. */
async function silence(stage: Stage, { seed, random }: Run): Promise<void> {
  const { report, scene, quay } = stage;
  const blob = both(stage, seed, random.size(1000, 4 << 20));
  const { size } = blob.content;
  const stallAfter = random.int(0, size - 1);
  scene.upstream.fault({ role: 'cdn', reference: blob.digest }, { stallAfter });
  const started = performance.now();
  const outcomes = await followBoth(stage, blob, () => undefined);
  report.time('a silent source is made good for', performance.now() - started, 7000);
  for (const outcome of outcomes) report.expect(outcome === 'right', `a follower: ${JSON.stringify(outcome)}`);
  const more = quay.bytes({ role: 'cdn', reference: blob.digest }) - (size - stallAfter);
  report.expect(more <= 1 << 16, `${more} bytes were fetched that the silent source had brought`);
  await expectStored(stage, blob);
}

/** The first source does not even answer: who has a source of its own does not wait for it, nor fail with it. */
async function silentStart(stage: Stage, { seed, random }: Run): Promise<void> {
  const { scene } = stage;
  const blob = both(stage, seed, random.size(1000, 1 << 20));
  const where = { role: 'cdn', method: 'GET', reference: blob.digest } as const;
  const fault = scene.upstream.fault(where, random.pick([{ hang: true }, { delay: 1000, drop: 'rst' as const }]));
  const first = scene.pull(blob, { timeout: PATIENCE });
  await within(PATIENCE, () => fault.hits > 0);
  const started = performance.now();
  await expectRight(stage, blob, 'quay.io');
  scene.report.time('a silent source is made good for', performance.now() - started, 7000);
  fault.remove();
  await first;
  await expectStored(stage, blob);
}

/** The second source has something else under the digest: it spoils nothing of what the first one brings. */
async function another(stage: Stage, { seed, random }: Run): Promise<void> {
  const { report, scene, quay } = stage;
  const blob = scene.blob(seed, random.size(1000, 4 << 20));
  const { size } = blob.content;
  const content = random.pick([
    corrupted(blob.content, random.int(0, size - 1)),
    { size: size + random.int(1, 1000), read: () => Buffer.alloc(0) },
  ]);
  quay.addBlob('library/app', { digest: blob.digest, content: { ...content, read: padded(content, blob) } });
  const stallAfter = random.int(0, size - 1);
  const where = { role: 'cdn', reference: blob.digest, times: 1 } as const;
  const fault = scene.upstream.fault(where, { stallAfter, cutAfter: stallAfter });
  await followBoth(stage, blob, () => fault.release());
  // What is wrong with the mixture of two may cost a pull, and the one after it.
  const right = await within(PATIENCE, async () => (await scene.pull(blob)) === 'right');
  report.expect(right, 'the honest source is not gone back to');
  await expectStored(stage, blob);
}

/** The only source of a fill loses its rights in the midst of it: its bytes go no further, but another's do. */
async function closed(stage: Stage, { seed, random }: Run): Promise<void> {
  const { report, scene, client } = stage;
  const name = `acme/closing-${seed}`;
  const repository = scene.upstream.repositories.open(name, ['ada']);
  const blob = scene.blob(`closing ${seed}`, random.size(200_000, 4 << 20));
  scene.upstream.addBlob(name, blob);
  const stallAfter = random.int(100_000, blob.content.size - 1);
  const where = { role: 'cdn', reference: blob.digest, times: 1 } as const;
  const fault = scene.upstream.fault(where, { stallAfter, cutAfter: stallAfter });
  const headers = await login(client, [name], 'ada', PASSWORD);
  const url = `https://${HOST}/v2/${name}/blobs/${blob.digest}`;
  const pulling = client.request(url, { headers, timeout: PATIENCE });
  await within(PATIENCE, () => fault.hits === 1 && scene.upstream.bytes(where) >= stallAfter);
  repository.access = [];
  scene.upstream.expireTokens();
  scene.upstream.expireUrls();
  fault.release();
  const answer = await pulling;
  report.expect(judge(answer, blob.digest) !== 'wrong', 'the caller who lost its rights got complete wrong bytes');
  const ended = await within(
    6 * TOKEN_LIFE * 1000,
    async () => (await client.request(url, { headers })).status !== 200,
  );
  report.expect(ended, 'who has no rights any more is still served');
  await expectRight(stage, blob, 'docker.io');
  await expectStored(stage, blob);
  const after = await client.request(url, { headers });
  report.expect(isRefused(after), `who has no rights any more is answered ${after.status} when it is stored`);
}

/** Two upstreams name one digest, one of them for its owner alone: one fetch, and rights of their own. */
async function together(stage: Stage, { seed, random }: Run): Promise<void> {
  const { report, scene, quay, client } = stage;
  const name = `acme/own-${seed}`;
  const blob = scene.blob(`own ${seed}`, random.size(1000, 2 << 20));
  scene.upstream.repositories.open(name, ['ada']);
  scene.upstream.addBlob(name, blob);
  scene.upstream.repositories.get('library/app')?.blobs.delete(blob.digest);
  quay.addBlob('library/app', blob);
  const slow = { bytesPerSecond: Math.max(20_000, blob.content.size * 2) };
  for (const one of [scene.upstream, quay]) one.fault({ role: 'cdn', reference: blob.digest }, slow);
  const headers = await login(client, [name], 'ada', PASSWORD);
  const url = `https://${HOST}/v2/${name}/blobs/${blob.digest}`;
  const strange = [url, `${scene.gateway.own}/v2/docker.io/${name}/blobs/${blob.digest}`];
  const [own, open, ...refused] = await Promise.all([
    client.request(url, { headers, timeout: PATIENCE }),
    pullFrom(stage, blob, 'quay.io'),
    ...strange.map((one) => client.request(one)),
  ]);
  report.expect(judge(own, blob.digest) === 'right' && open === 'right', `${own.status}, ${JSON.stringify(open)}`);
  const later = await Promise.all(strange.map((one) => client.request(one)));
  for (const answer of [...refused, ...later]) report.expect(isRefused(answer), `nobody is answered ${answer.status}`);
  const gets = downloads(scene.upstream, blob) + downloads(quay, blob);
  report.expect(gets === 1, `${gets} fetches of what two upstreams name`);
  await expectStored(stage, blob);
}

/** A blob that both upstreams have. */
function both({ scene, quay }: Stage, seed: number, size: number): Blob {
  const blob = scene.blob(seed, size);
  quay.addBlob('library/app', blob);
  return blob;
}

/** Bytes of another content, those of the blob where it has none. */
function padded(content: { read(start: number, end: number): Buffer }, blob: Blob) {
  return (start: number, end: number): Buffer => {
    const bytes = content.read(start, end);
    if (bytes.length > 0) return bytes;
    const there = blob.content.read(Math.min(start, blob.content.size), Math.min(end, blob.content.size));
    return Buffer.concat([there, Buffer.alloc(end - start - there.length, 7)]);
  };
}

/** A pull by docker.io that has begun, and one by quay.io that has proven its right; then what is to happen. */
async function followBoth(stage: Stage, blob: Blob, then: () => void): Promise<readonly [Outcome, Outcome]> {
  const { scene, quay } = stage;
  const first = pullFrom(stage, blob, 'docker.io');
  await within(PATIENCE, () => downloads(scene.upstream, blob) > 0);
  const second = pullFrom(stage, blob, 'quay.io');
  await within(PATIENCE, () => quay.count({ role: 'registry', method: 'HEAD', reference: blob.digest }) > 0);
  // They read all that there is before it goes on.
  await sleep(200);
  then();
  return Promise.all([first, second]);
}

async function pullFrom({ report, scene }: Stage, { digest }: Blob, namespace: string): Promise<Outcome> {
  const url = `${scene.gateway.own}/v2/${namespace}/library/app/blobs/${digest}`;
  const answer = await scene.client.request(url, { timeout: PATIENCE }).catch((error: Error) => error);
  if (answer instanceof Error) {
    report.violation(`a pull from ${namespace}: ${answer.message}`);
    return 'unreachable';
  }
  const outcome = judge(answer, digest);
  if (outcome === 'wrong') report.violation(`a complete answer from ${namespace} is not ${digest}`);
  if (outcome === 'right') report.latency(answer.totalMs);
  return outcome === 'wrong' ? 'broken' : outcome;
}

async function expectRight(stage: Stage, blob: Blob, namespace: string): Promise<void> {
  const outcome = await pullFrom(stage, blob, namespace);
  stage.report.expect(outcome === 'right', `the next pull from ${namespace} is ${JSON.stringify(outcome)}`);
}

async function expectStored({ report, scene }: Stage, { digest }: Blob): Promise<void> {
  const stored = await within(PATIENCE, async () =>
    (await publishedIn(scene.gateway.data)).some((one) => one.digest === digest),
  );
  report.expect(stored, `${digest} is not stored in the end`);
}

function downloads(upstream: FakeUpstream, { digest }: Blob): number {
  return upstream.count({ role: 'cdn', method: 'GET', reference: digest });
}

function isRefused({ status }: ClientResponse): boolean {
  return status === 401 || status === 403 || status === 404;
}
