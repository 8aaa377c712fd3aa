import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { stringify } from 'yaml';
import type { FakeUpstream } from '../upstream/upstream.ts';

const ROOT = join(import.meta.dirname, '..', '..', '..');
const ROOTS = '/usr/local/share/ca-certificates';
const RUN_TYPESCRIPT = `exec '${process.execPath}' '${join(import.meta.dirname, 'docker.ts')}' "$@"`;

/** Programs that would change the machine: these change the files below `root` instead, and note how they were called. */
const PROGRAMS: Readonly<Record<string, string>> = {
  sudo: `echo "$*" >>"$HOMELAB/called"
for argument in "$@"; do
  case $argument in /etc/* | /usr/*) argument=$HOMELAB/root$argument ;; esac
  set -- "$@" "$argument"
  shift
done
case $* in *' setup '*) set -- "$@" --root "$HOMELAB/root" ;; esac
exec "$@"`,
  sysctl: 'exit 0',
  docker: RUN_TYPESCRIPT,
};

type Program = ChildProcessByStdio<null, Readable, Readable>;

/** A machine to follow the README on: a clone, the system's files and programs, and registries of its own. */
export class Homelab implements AsyncDisposable {
  readonly dir: string;
  #gateway: Program | undefined;

  private constructor(dir: string) {
    this.dir = dir;
  }

  static async make(upstreams: Readonly<Record<string, FakeUpstream>>): Promise<Homelab> {
    const lab = new Homelab(await mkdtemp(join(tmpdir(), 'layover-homelab-')));
    for (const folder of ['bin', 'clone/config', 'clone/certs', 'root/etc', 'root/usr/sbin', `root${ROOTS}`])
      await mkdir(join(lab.dir, folder), { recursive: true });
    for (const name of ['bin', 'src', 'node_modules', 'package.json'])
      await symlink(join(ROOT, name), join(lab.dir, 'clone', name));
    for (const [name, script] of Object.entries(PROGRAMS)) {
      const file = join(lab.dir, 'bin', name);
      await writeFile(file, `#!/bin/sh\n${script}\n`);
      await chmod(file, 0o755);
    }
    // By this a system is known that keeps roots there.
    await writeFile(join(lab.dir, 'root/usr/sbin/update-ca-certificates'), '');
    await writeFile(join(lab.dir, 'root/etc/hosts'), '127.0.0.1 localhost\n');
    await writeFile(join(lab.dir, 'clone/config/gateway.yaml'), stringify(await configuration(lab.dir, upstreams)));
    return lab;
  }

  /** Runs a block that ends by serving, until it does. */
  async start(script: string): Promise<string> {
    const child = this.#spawn(script);
    this.#gateway = child;
    let greeting = '';
    for await (const chunk of child.stdout) {
      greeting += String(chunk);
      if (greeting.includes('docker pull')) break;
    }
    const port = (name: string) => Number(new RegExp(`^  ${name} .*:(\\d+)  `, 'm').exec(greeting)?.[1]);
    await writeFile(join(this.dir, 'ports.json'), JSON.stringify({ 443: port('https'), 5000: port('http') }));
    return greeting;
  }

  /** As Ctrl-C does: to everything that the block started. */
  async stop(): Promise<void> {
    const gateway = this.#gateway;
    this.#gateway = undefined;
    if (gateway?.pid === undefined || gateway.exitCode !== null || gateway.signalCode !== null) return;
    const ended = once(gateway, 'exit');
    process.kill(-gateway.pid, 'SIGINT');
    await ended;
  }

  /** Runs a block to its end. Throws with all it printed when a command of it fails. */
  async run(script: string): Promise<string> {
    const child = this.#spawn(script);
    const [output, complaints, [code]] = await Promise.all([
      text(child.stdout),
      text(child.stderr),
      once(child, 'exit'),
    ]);
    if (code !== 0) throw new Error(`exit code ${code}:\n${output}${complaints}`);
    return output;
  }

  /** A file of the machine, by its path on it; or of the clone, by its path in it. */
  read(path: string): Promise<string> {
    return readFile(join(this.dir, path.startsWith('/') ? 'root' : 'clone', path), 'utf8');
  }

  /** What was called as root. */
  async called(): Promise<string[]> {
    return (await readFile(join(this.dir, 'called'), 'utf8')).trim().split('\n');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    await rm(this.dir, { recursive: true, force: true, maxRetries: 5 });
  }

  #spawn(script: string): Program {
    const PATH = `${join(this.dir, 'bin')}:${process.env.PATH}`;
    return spawn('sh', ['-euc', script], {
      cwd: join(this.dir, 'clone'),
      env: { ...process.env, PATH, HOMELAB: this.dir, npm_config_update_notifier: 'false' },
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
  }
}

/** Everything at its default but the ports, and where the registries are. */
async function configuration(dir: string, upstreams: Readonly<Record<string, FakeUpstream>>): Promise<object> {
  const entries = Object.entries(upstreams).map(async ([name, upstream]) => {
    const hosts = upstream.roles.map((role) => upstream.authority(role));
    const ca = join(dir, `${name}.pem`);
    await writeFile(ca, upstream.ca ?? '');
    return [name, { urls: [upstream.url()], ca, tokenHosts: hosts, blobHosts: hosts }] as const;
  });
  return {
    listen: { https: '127.0.0.1:0', http: '127.0.0.1:0', admin: '127.0.0.1:0' },
    upstreams: Object.fromEntries(await Promise.all(entries)),
  };
}
