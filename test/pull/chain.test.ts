import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { ADA, EVE, Registry, smallImage, USERS } from '../auth/scene.ts';
import { TestGateway } from '../support/gateway.ts';
import { GatewayProcess } from '../support/gateway-process.ts';
import { blobsOf, topOf } from '../support/image.ts';
import { type FakeUpstream, startUpstream } from '../support/upstream/upstream.ts';

const IMAGE = smallImage('passed on');
const LAYER = blobsOf(IMAGE)[1] ?? '';
const PULLED = ['manifests/latest', `manifests/${topOf(IMAGE).digest}`, `blobs/${LAYER}`];
const [OPEN, PRIVATE] = ['library/nginx', 'acme/app'];

/** Two gateways in a row: clients ask `near`, whose upstream is `far`, which alone knows the registry. */
interface Chain extends AsyncDisposable {
  readonly hub: FakeUpstream;
  /** A process of its own, as a gateway knows by itself what has passed through it before. */
  readonly far: GatewayProcess;
  readonly near: TestGateway;
  readonly registry: Registry;
}

async function open(by: 'name' | 'namespace'): Promise<Chain> {
  const hub = await startUpstream({ profile: 'hub', tls: false, users: USERS });
  hub.add(OPEN, IMAGE);
  hub.add(PRIVATE, IMAGE, { access: ['ada'] });
  const dir = await mkdtemp(join(tmpdir(), 'layover-far-'));
  const hosts = hub.roles.map((role) => hub.authority(role));
  const far = await GatewayProcess.start(dir, { 'docker.io': { url: hub.url(), hosts } });
  const byName = { urls: [`https://registry-1.docker.io:${far.httpsPort}`], ca: join(dir, 'certs', 'ca.crt') };
  const near = await TestGateway.start({
    upstreams: [],
    config: { dns: { pins: { 'registry-1.docker.io': '127.0.0.1' } } },
    further: { 'docker.io': by === 'name' ? byName : { urls: [`http://${far.greeting.http}/docker.io`] } },
  });
  const registry = new Registry('hub', near);
  return {
    hub,
    far,
    near,
    registry,
    async [Symbol.asyncDispose]() {
      registry[Symbol.dispose]();
      await near[Symbol.asyncDispose]();
      await far[Symbol.asyncDispose]();
      await hub.close();
      await rm(dir, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

for (const by of ['name', 'namespace'] as const) {
  test(`public content comes through two gateways, the second asked by its ${by}, and stays at both`, async (t) => {
    await using chain = await open(by);
    const { registry, hub, far, near } = chain;
    for (const rest of PULLED) {
      const cold = await registry.ask('path', 'GET', OPEN, rest);
      t.deepEqual([cold.status, cold.complete], [200, true], rest);
      t.is(cold.digest, rest.startsWith('blobs') ? LAYER : topOf(IMAGE).digest);
    }
    t.is((await registry.ask('mirror', 'GET with Range', OPEN, `blobs/${LAYER}`)).status, 206);
    t.is((await registry.ask('path', 'GET', OPEN, 'tags/list')).status, 200);
    t.is((await registry.ask('path', 'GET', OPEN, `blobs/sha256:${'0'.repeat(64)}`)).status, 404);
    // Names of our own look at no credential, so nothing private comes that way.
    const login = by === 'name' ? undefined : ADA;
    t.is((await registry.ask('path', 'GET', PRIVATE, 'manifests/latest', login)).status, 404);
    await hub.close();
    for (const rest of PULLED) t.is((await registry.ask('path', 'GET', OPEN, rest)).status, 200, `hub down: ${rest}`);
    const headers = { 'cache-control': 'only-if-cached' };
    const asked = `http://${far.greeting.http}/docker.io/v2/${OPEN}/blobs/${LAYER}`;
    t.is((await near.client.request(asked, { headers })).digest, LAYER);
    await far.down();
    for (const rest of PULLED) t.is((await registry.ask('path', 'GET', OPEN, rest)).status, 200, `far down: ${rest}`);
  });
}

test('private content comes through a second gateway asked by the name of the registry, to whom it belongs', async (t) => {
  await using chain = await open('name');
  const { registry, hub, near, far } = chain;
  t.regex((await registry.ping()).headers['www-authenticate'] ?? '', /realm="https:\/\/registry-1\.docker\.io\/v2\//);
  t.is((await registry.login([], ADA)).status, 200);
  t.is((await registry.login([], 'Basic YWRhOndyb25n')).status, 401);
  const [ada, eve] = [await registry.token([PRIVATE], ADA), await registry.token([PRIVATE], EVE)];
  for (const rest of PULLED) {
    const answer = await registry.get(PRIVATE, rest, ada);
    t.deepEqual([answer.status, answer.complete], [200, true], rest);
    t.is((await registry.get(PRIVATE, rest, eve)).status, 401, rest);
    t.is((await registry.get(PRIVATE, rest)).status, 401, rest);
  }
  const push = await near.client.request(`${registry.origin}/v2/${PRIVATE}/blobs/uploads/`, { method: 'POST' });
  t.deepEqual([push.status, hub.count({ method: 'POST' })], [401, 1], 'a push reaches the registry');
  await hub.close();
  await near.restart();
  const offline = await registry.token([PRIVATE], ADA);
  const strange = await registry.token([PRIVATE], EVE);
  for (const rest of PULLED) {
    t.is((await registry.get(PRIVATE, rest, offline)).status, 200, `hub down: ${rest}`);
    t.not((await registry.get(PRIVATE, rest, strange)).status, 200, `hub down: ${rest}`);
  }
  await far.down();
  const ours = await registry.token([PRIVATE], ADA);
  for (const rest of PULLED) t.is((await registry.get(PRIVATE, rest, ours)).status, 200, `far down: ${rest}`);
});
