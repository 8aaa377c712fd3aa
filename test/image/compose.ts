import { Resolver } from 'node:dns/promises';
import { cp, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { stringify } from 'yaml';
import { gatewayAddress } from '../clients/gateway.ts';
import { blobsFor, makeAppImage } from '../clients/images.ts';
import { workspace } from '../clients/machine.ts';
import { Daemon, run } from '../clients/process.ts';
import { type FakeUpstream, startUpstream } from '../support/upstream/upstream.ts';
import { expect } from './expect.ts';
import { VERSION } from './name-server.ts';
import { step } from './step.ts';

const { values } = parseArgs({
  options: {
    folder: { type: 'string', default: '' },
    image: { type: 'string', default: '' },
    dns: { type: 'string', default: '' },
  },
});
/** Where compose.yaml is used: a clone of what it needs. */
const project = join(workspace, 'layover');
/** On the machine, outside of the container. */
const REGISTRY = '192.0.2.2';
const APP = makeAppImage('app', ['1']);
const socket = join(workspace, 'docker.sock');

await walk();
process.exit(); // whatever still runs ends with the namespace

/** A machine with docker alone, on which compose.yaml is brought up with its name server. */
async function walk(): Promise<void> {
  for (const path of ['/mnt', '/run']) await run(['mount', '-t', 'tmpfs', 'tmpfs', path]);
  await mkdir(project, { recursive: true });
  await run(['ip', 'link', 'set', 'lo', 'up']);
  await run(['ip', 'address', 'add', `${gatewayAddress}/32`, 'dev', 'lo']);
  await run(['ip', 'route', 'add', 'local', REGISTRY, 'dev', 'lo']);
  const here = { name: REGISTRY, address: REGISTRY };
  await using upstream = await startUpstream({ tls: false, hosts: { registry: here, token: here, cdn: here } });
  upstream.add('library/app', APP);
  const data = [
    '--data-root',
    join(values.folder, 'docker'),
    '--exec-root',
    '/run/docker',
    '--pidfile',
    '/run/docker.pid',
  ];
  // The ports are published by docker's own proxy, so that the kernel needs no rules.
  const network = ['--iptables=false', '--ip6tables=false'];
  const argv = ['dockerd', '--host', `unix://${socket}`, '--storage-driver', 'vfs', ...data, ...network];
  await using dockerd = new Daemon(argv, join(values.folder, 'dockerd.log'));
  await dockerd.ready(() => docker(['info']));
  await docker(['load', '--input', values.image]);
  const coredns = `docker.io/coredns/coredns:${VERSION.slice(1)}`;
  await docker(['import', '--change', 'USER 65532', '--change', 'ENTRYPOINT ["/coredns"]', values.dns, coredns]);
  await step('docker compose brings the gateway and the name server up', () => bringUp(upstream));
  await step('docker pulls through the container, and each missing byte is fetched once', () => pull(upstream));
  await step('the name server leads to the container', lead);
  await step('docker compose takes everything back', takeBack);
}

async function bringUp(upstream: FakeUpstream): Promise<void> {
  await cp(join(import.meta.dirname, '../../compose.yaml'), join(project, 'compose.yaml'));
  await mkdir(join(project, 'config'));
  const hosts = { tokenHosts: [upstream.authority('token')], blobHosts: [upstream.authority('cdn')] };
  const file = { storage: { reserve: 0 }, upstreams: { 'docker.io': { urls: [upstream.url()], ...hosts } } };
  await writeFile(join(project, 'config/gateway.yaml'), stringify(file));
  await writeFile(join(project, '.env'), `GATEWAY_ADDRESS=${gatewayAddress}\nNAME_SERVERS=192.0.2.99\n`);
  // The image is there; where it is not, this would build it.
  await compose(['--profile', 'dns', 'up', '--detach', '--no-build', 'layover', 'names', 'dns']);
  const deadline = performance.now() + 60_000;
  while (!(await fetch('http://localhost:5000/v2/').catch(() => undefined))?.ok) {
    if (performance.now() > deadline) throw new Error(await compose(['logs']));
    await sleep(50);
  }
  const fingerprint = await compose([
    'exec',
    '-T',
    'layover',
    'node',
    '/opt/layover/bin/layover.js',
    'ca',
    'fingerprint',
  ]);
  expect('fingerprint', /^([0-9A-F]{2}:){31}[0-9A-F]{2} +\/layover\/certs\/ca\.crt$/.test(fingerprint), true);
}

async function pull(upstream: FakeUpstream): Promise<void> {
  const reference = 'localhost:5000/docker.io/library/app:1';
  for (const attempt of ['cold', 'warm']) {
    await docker(['pull', '--quiet', reference]);
    await docker(['rmi', reference]);
    for (const { digest } of blobsFor(APP, 'amd64')) {
      const where = { kind: 'blob', role: 'cdn', method: 'GET', reference: digest } as const;
      expect(`${attempt}: ${digest}`, upstream.count(where), 1);
    }
  }
}

async function lead(): Promise<void> {
  const resolver = new Resolver({ timeout: 5000, tries: 3 });
  resolver.setServers([gatewayAddress]);
  expect('A', String(await resolver.resolve4('registry-1.docker.io')), gatewayAddress);
  const other = await resolver.resolve6('registry-1.docker.io').catch((error: NodeJS.ErrnoException) => error.code);
  expect('AAAA', other, 'ENODATA');
}

async function takeBack(): Promise<void> {
  await compose(['--profile', 'dns', 'down']);
  expect('volumes', (await docker(['volume', 'ls', '--quiet'])).includes('layover_certs'), true);
  await compose(['--profile', 'dns', 'down', '--volumes']);
  expect('volumes', await docker(['volume', 'ls', '--quiet']), '');
  expect('containers', await docker(['ps', '--all', '--quiet']), '');
}

async function docker(args: readonly string[]): Promise<string> {
  return (await run(['docker', '--host', `unix://${socket}`, ...args], { timeout: 180_000 })).toString().trim();
}

async function compose(args: readonly string[]): Promise<string> {
  const env = { DOCKER_HOST: `unix://${socket}` };
  const argv = ['docker-compose', '--file', join(project, 'compose.yaml'), '--project-directory', project, ...args];
  return (await run(argv, { env, timeout: 180_000 })).toString().trim();
}
