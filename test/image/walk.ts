import { createHash } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { get, type IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { stringify } from 'yaml';
import { skopeo } from '../clients/clients/skopeo.ts';
import { transparent } from '../clients/doors.ts';
import { gatewayAddress } from '../clients/gateway.ts';
import { blobsFor, verify } from '../clients/images.ts';
import { Machine, workspace } from '../clients/machine.ts';
import { run } from '../clients/process.ts';
import { fakeRegistry } from '../clients/upstreams/fake-registry.ts';
import type { Upstream } from '../clients/upstreams/upstream.ts';
import { blobsOf, makeImage } from '../support/image.ts';
import { IMAGE } from './build.ts';
import { expect } from './expect.ts';
import { step } from './step.ts';
import { Storage } from './storage.ts';

const CONTAINER = 'gateway';
/** More than the buffers between two sockets hold. */
const LARGE = makeImage({ seed: 'large', layers: [96 * 2 ** 20], platforms: ['linux/amd64'] });

const { values } = parseArgs({ options: { folder: { type: 'string', default: '' } } });
const storage = new Storage(values.folder);
await walk();
process.exit(); // whatever still runs ends with the namespace

/** A network of its own with an upstream, the container that answers in its place, and a client that knows of neither. */
async function walk(): Promise<void> {
  await run(['ip', 'link', 'set', 'lo', 'up']);
  await run(['ip', 'address', 'add', `${gatewayAddress}/32`, 'dev', 'lo']);
  // As docker does for every container.
  await writeFile('/proc/sys/net/ipv4/ip_unprivileged_port_start', '0');
  const machine = await Machine.mount('/');
  await using upstream = await fakeRegistry('docker.io', 'hub', {
    registry: 'registry-1.docker.io',
    token: 'auth.docker.io',
    cdn: 'production.cloudflare.docker.com',
  })();
  upstream.fake?.add('library/large', LARGE);
  if (!(await step('starts as nobody on a read-only file system', () => start(upstream), logs))) return;
  await step('writes to its volumes alone', confined);
  await step('is healthy', healthy);
  const names = ['docker.io', 'registry-1.docker.io', 'auth.docker.io'];
  await machine.resolve(new Map(names.map((name) => [name, gatewayAddress])));
  await machine.trust(await (await fetch(`http://${gatewayAddress}:5000/ca.crt`)).text());
  await step(
    'a real client pulls through it, and each missing byte is fetched once',
    () => pull(machine, upstream),
    logs,
  );
  await step('finishes what it sends after SIGTERM, and ends with 0', drain, logs);
}

async function start(upstream: Upstream): Promise<void> {
  const config = join(workspace, 'config');
  await mkdir(config);
  const pins = Object.fromEntries(upstream.hosts.entries().map(([name, address]) => [name, [address]]));
  const file = { dns: { pins }, storage: { reserve: 0 }, upstreams: { [upstream.registry]: upstream.settings } };
  await writeFile(join(config, 'gateway.yaml'), stringify(file));
  const authority = String(upstream.settings.ca);
  const confinement = [
    '--read-only',
    '--read-only-tmpfs=false',
    '--cap-drop',
    'all',
    '--security-opt',
    'no-new-privileges',
  ];
  const volumes = ['--volume', `${config}:/layover/config:ro`, '--volume', `${authority}:${authority}:ro`];
  const listen = { HTTPS: `${gatewayAddress}:443`, HTTP: `${gatewayAddress}:5000` };
  const variables = Object.entries(listen).flatMap(([name, address]) => ['--env', `LAYOVER_LISTEN_${name}=${address}`]);
  // Without systemd nothing would ask for its health by itself.
  const own = [
    '--detach',
    '--name',
    CONTAINER,
    '--ulimit',
    'host',
    '--network',
    'host',
    '--health-interval',
    'disable',
  ];
  await storage.podman(['run', ...own, ...confinement, ...volumes, ...variables, IMAGE], { timeout: 180_000 });
  const deadline = performance.now() + 60_000;
  while (!(await fetch('http://127.0.0.1:9464/readyz').catch(() => undefined))?.ok) {
    if (performance.now() > deadline) throw new Error(await storage.podman(['logs', CONTAINER]));
    await sleep(20);
  }
}

function logs(): Promise<string> {
  return storage.podman(['logs', CONTAINER]);
}

async function confined(): Promise<void> {
  const paths = [
    '/x',
    '/layover/x',
    '/opt/layover/x',
    '/tmp/x',
    '/layover/data/x',
    '/layover/certs/x',
    '/layover/logs/x',
  ];
  const script = `
    const written = ${JSON.stringify(paths)}.filter((path) => {
      try { require('fs').writeFileSync(path, ''); return true; } catch { return false; }
    });
    console.log([process.getuid(), process.getgid(), ...written].join(' '));`;
  const told = await storage.podman(['exec', CONTAINER, 'node', '-e', script]);
  expect('user, group and what can be written', told, ['65532 65532', ...paths.slice(-3)].join(' '));
}

async function healthy(): Promise<void> {
  await storage.podman(['healthcheck', 'run', CONTAINER]);
}

async function pull(machine: Machine, upstream: Upstream): Promise<void> {
  const { name, image } = upstream.app;
  for (const attempt of ['cold', 'warm']) {
    await using store = await skopeo.open(machine, await machine.folder(attempt), transparent);
    verify(await store.pull(`${name}:${image.tags[0]}`, 'amd64'), image, 'amd64');
    const sent = await upstream.blobBytes();
    for (const { digest, size } of blobsFor(image, 'amd64')) expect(`${attempt}: ${digest}`, sent.get(digest), size);
  }
}

async function drain(): Promise<void> {
  const [, digest = ''] = blobsOf(LARGE, 'linux/amd64');
  const path = `/v2/docker.io/library/large/blobs/${digest}`;
  const answer = await new Promise<IncomingMessage>((resolve, reject) => {
    get(`http://${gatewayAddress}:5000${path}`, { agent: false }, resolve).on('error', reject);
  });
  expect('status', answer.statusCode, 200);
  await storage.podman(['kill', '--signal', 'TERM', CONTAINER]);
  while ((await fetch(`http://${gatewayAddress}:5000/v2/`).catch(() => undefined)) !== undefined) await sleep(20);
  const hash = createHash('sha256');
  for await (const chunk of answer) hash.update(chunk as Buffer);
  expect('what was being sent', `sha256:${hash.digest('hex')}`, digest);
  expect('exit code', await storage.podman(['wait', CONTAINER]), '0');
}
