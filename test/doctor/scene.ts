import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chown, mkdir, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { text } from 'node:stream/consumers';
import { openRoot } from '../../src/tls/root.ts';
import { NameServer, type Word } from '../faults/name-server.ts';
import { execute, openLoopback } from '../faults/namespace.ts';
import { GatewayProcess } from '../support/gateway-process.ts';
import type { Told } from './findings.ts';

const MAIN = join(import.meta.dirname, '../../src/cli/main.ts');
const ELSEWHERE: Word = ['198.51.100.1'];
const HERE: Word = ['127.0.0.1'];

export interface Outcome {
  readonly code: number;
  readonly findings: readonly Told[];
}

/** A machine with a network of its own: its name server, its hosts file, its trusted roots and its gateway. */
class Scene {
  readonly dir: string;
  readonly outcomes: Record<string, Outcome> = {};
  /** What the name server says; of all other names `rest`. */
  words: Readonly<Record<string, Word>> = {};
  rest: Word = HERE;

  constructor(dir: string) {
    this.dir = dir;
  }

  async enter(): Promise<void> {
    await openLoopback();
    await this.mount('/etc/hosts', '127.0.0.1 localhost\n');
    await this.mount('/etc/resolv.conf', 'nameserver 127.0.0.1\noptions timeout:2 attempts:2\n');
    await this.mount('/etc/nsswitch.conf', 'hosts: files dns\n');
  }

  async mount(file: string, content: string): Promise<void> {
    await this.write(file, content);
    await execute('mount', ['--bind', join(this.dir, 'root', file), file]);
  }

  /** A file of the machine, below its root. */
  async write(file: string, content: string): Promise<void> {
    const path = join(this.dir, 'root', file);
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, content);
  }

  remove(file: string): Promise<void> {
    return rm(join(this.dir, 'root', file));
  }

  /** Runs the doctor under a title, `under` another program. */
  async doctor(title: string, args: readonly string[], under: readonly string[] = [], env: object = {}): Promise<void> {
    const node = [process.execPath, '--disable-warning=ExperimentalWarning', MAIN];
    const [program = '', ...rest] = [...under, ...node, 'doctor', '--json', '--root', join(this.dir, 'root'), ...args];
    const child = spawn(program, rest, {
      stdio: ['ignore', 'pipe', 'inherit'],
      cwd: this.dir,
      env: { ...process.env, ...env },
    });
    const [out, [code]] = await Promise.all([text(child.stdout), once(child, 'exit')]);
    this.outcomes[title] = { code: Number(code), findings: out === '' ? [] : JSON.parse(out) };
  }
}

async function clients(scene: Scene, root: string): Promise<void> {
  const client = ['--gateway', 'gateway.lan'];
  const bundle = '/etc/ssl/certs/ca-certificates.crt';
  await scene.write(bundle, root);
  await scene.doctor('right', client);
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
  await scene.doctor('a clock that is ahead', client, ['faketime', '-f', '+1h']);
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

const [dir = ''] = process.argv.slice(2);
const scene = new Scene(dir);
await scene.enter();
await using _server = await NameServer.start((name) => scene.words[name] ?? scene.rest, 53);
await using gateway = await GatewayProcess.start(
  dir,
  {},
  {
    listen: { https: '127.0.0.1:443', http: '127.0.0.1:5000', admin: '127.0.0.1:9464' },
    names: ['gateway.lan'],
  },
);
await clients(scene, await gateway.rootCertificate());
await gateways(scene, gateway);
process.stdout.write(JSON.stringify(scene.outcomes));
