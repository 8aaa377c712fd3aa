import { chown, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { openRoot } from '../../src/tls/root.ts';
import { execute } from '../faults/namespace.ts';
import type { GatewayProcess } from '../support/gateway-process.ts';
import { ELSEWHERE, HERE, Scene } from './scene.ts';

async function clients(scene: Scene, root: string): Promise<void> {
  const client = ['--gateway', 'gateway.lan'];
  const bundle = '/etc/ssl/certs/ca-certificates.crt';
  await scene.write(bundle, root);
  await scene.doctor('right', client);
  await scene.start('dockerd');
  scene.words = { 'ghcr.io': ['127.0.0.1', '2001:db8::1'] };
  await scene.doctor('another address by IPv6', client);
  scene.words = { 'gateway.lan': HERE };
  scene.rest = ELSEWHERE;
  await scene.write('/etc/hosts', '127.0.0.1 localhost docker.io registry-1.docker.io\n');
  await scene.doctor('a name left out', client);
  await scene.write('/etc/hosts', '127.0.0.1 localhost\n');
  await scene.doctor('nothing leads there', client);
  await scene.write('/etc/docker/daemon.json', '{"registry-mirrors":["http://gateway.lan:5000"]}');
  await scene.doctor('a mirror', client);
  await scene.remove('/etc/docker/daemon.json');
  scene.words = { 'nowhere.lan': 'NXDOMAIN' };
  await scene.doctor('an unknown gateway', ['--gateway', 'nowhere.lan']);
  scene.words = {};
  scene.rest = HERE;
  const old = await openRoot({ dir: join(scene.dir, 'old'), permittedDns: ['ghcr.io'], permittedIps: [] });
  await scene.write(bundle, old.certificatePem);
  await scene.doctor('an old root', client);
  await scene.write(bundle, root);
  // A quick machine gets here within the seconds by which the start of a process may be told too early.
  await execute('touch', ['-d', '+1 minute', join(scene.dir, 'root', bundle)]);
  await scene.doctor('a clock that is ahead', client, ['faketime', '-f', '+1h']);
  await scene.doctor('a daemon from before', client);
}

async function gateways(scene: Scene, gateway: GatewayProcess): Promise<void> {
  const config = ['--config', join(scene.dir, 'gateway.yaml')];
  await scene.doctor('a gateway in a circle', config);
  await scene.write('/.dockerenv', '');
  scene.rest = 'NXDOMAIN';
  scene.words = { 'ghcr.io': HERE, 'gateway.lan': ELSEWHERE };
  await scene.doctor('a gateway in a container, without registries', config);
  await scene.remove('/.dockerenv');
  await gateway.down();
  scene.rest = ELSEWHERE;
  scene.words = {};
  await scene.doctor('a client without its gateway', ['--gateway', '127.0.0.1']);
  await disks(scene, config);
}

/** With the gateway stopped, so that the limits are those of the doctor. */
async function disks(scene: Scene, config: readonly string[]): Promise<void> {
  const [memory, locked] = [join(scene.dir, 'memory'), join(scene.dir, 'locked')];
  const stored = (root: string) => ({ LAYOVER_STORAGE_ROOT: root });
  for (const dir of [memory, locked]) await mkdir(dir);
  await execute('mount', ['-t', 'tmpfs', '-o', 'size=64m,nr_inodes=5000', 'tmpfs', memory]);
  await scene.doctor('storage in memory', config, [], stored(memory));
  await execute('mount', ['--bind', '-o', 'ro', locked, locked]);
  await scene.doctor('storage that is locked', config, [], stored(locked));
  await execute('mount', ['-t', 'tmpfs', 'tmpfs', join(scene.dir, 'data', 'spool')]);
  await scene.doctor('a spool apart', config);
  await execute('umount', [join(scene.dir, 'data', 'spool')]);
  const limited = ['sh', '-c', 'ulimit -n 1024; exec "$@"', 'sh'];
  await scene.doctor('few files', config, limited);
  const refusing = [
    'strace',
    '-f',
    '-qqq',
    '-o',
    '/dev/null',
    '-e',
    'trace=link,linkat',
    '-e',
    'inject=link,linkat:error=EPERM',
  ];
  await scene.doctor('no hard links', config, refusing);
  // As somebody who owns neither: the program itself has to be readable all the same.
  const weak = ['setpriv', '--bounding-set=-net_bind_service,-dac_override,-dac_read_search'];
  const foreign = join(scene.dir, 'foreign');
  await mkdir(foreign, { mode: 0o700 });
  await chown(foreign, 65_534, 65_534);
  const env = { ...stored(foreign), LAYOVER_LISTEN_HTTPS: '127.0.0.1:443' };
  await scene.doctor('a user without rights', config, weak, env);
}

await using scene = await Scene.enter(process.argv[2] ?? '');
await scene.resolve();
const gateway = await scene.gateway();
await clients(scene, await gateway.rootCertificate());
await gateways(scene, gateway);
process.stdout.write(JSON.stringify(scene.outcomes));
