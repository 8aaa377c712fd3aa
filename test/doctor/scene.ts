import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFile, mkdir, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { text } from 'node:stream/consumers';
import { NameServer, type Word } from '../faults/name-server.ts';
import { execute, openLoopback } from '../faults/namespace.ts';
import { GatewayProcess } from '../support/gateway-process.ts';
import type { Told } from './findings.ts';

export const MAIN = join(import.meta.dirname, '../../src/cli/main.ts');
export const ELSEWHERE: Word = ['198.51.100.1'];
export const HERE: Word = ['127.0.0.1'];

export interface Outcome {
  readonly code: number;
  readonly findings: readonly Told[];
}

/** A machine with a network of its own: its name server, its hosts file, its trusted roots and its gateway. */
export class Scene implements AsyncDisposable {
  readonly dir: string;
  readonly outcomes: Record<string, Outcome> = {};
  /** What the name server says; of all other names `rest`. */
  words: Readonly<Record<string, Word>> = {};
  rest: Word = HERE;

  readonly #closing = new AsyncDisposableStack();

  private constructor(dir: string) {
    this.dir = dir;
  }

  /** Makes this process's own network and mounts into a machine in `dir`. */
  static async enter(dir: string): Promise<Scene> {
    const scene = new Scene(dir);
    await openLoopback();
    scene.#closing.use(await NameServer.start((name) => scene.words[name] ?? scene.rest, 53));
    return scene;
  }

  /** A gateway on the ports that clients know. */
  async gateway(): Promise<GatewayProcess> {
    const listen = { https: '127.0.0.1:443', http: '127.0.0.1:5000', admin: '127.0.0.1:9464' };
    return this.#closing.use(await GatewayProcess.start(this.dir, {}, { listen, names: ['gateway.lan'] }));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#closing.disposeAsync();
  }

  /** Puts files of the machine over those that decide how names are found. */
  async resolve(): Promise<void> {
    await this.mount('/etc/hosts', '127.0.0.1 localhost\n');
    await this.mount('/etc/resolv.conf', 'nameserver 127.0.0.1\noptions timeout:30 attempts:1\n');
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

  /** Starts something that is called as a daemon, and only sleeps. */
  async start(name: string): Promise<void> {
    const program = join(this.dir, name);
    await copyFile('/bin/sleep', program);
    const child = spawn(program, ['600'], { stdio: 'ignore' });
    this.#closing.defer(() => void child.kill('SIGKILL'));
    await once(child, 'spawn');
  }

  /** Runs the doctor under a title, `under` another program. */
  async doctor(title: string, args: readonly string[], under: readonly string[] = [], env: object = {}): Promise<void> {
    await this.ask(title, ['--root', join(this.dir, 'root'), ...args], under, env);
  }

  /** As {@link doctor}, of the files that programs here see. */
  async ask(title: string, args: readonly string[], under: readonly string[] = [], env: object = {}): Promise<void> {
    const node = [process.execPath, '--disable-warning=ExperimentalWarning', MAIN];
    const [program = '', ...rest] = [...under, ...node, 'doctor', '--json', '--timeout', '60s', ...args];
    const child = spawn(program, rest, {
      stdio: ['ignore', 'pipe', 'inherit'],
      cwd: this.dir,
      env: { ...process.env, NODE_COMPILE_CACHE: join(this.dir, 'compiled'), ...env },
    });
    const [out, [code]] = await Promise.all([text(child.stdout), once(child, 'exit')]);
    this.outcomes[title] = { code: Number(code), findings: out === '' ? [] : JSON.parse(out) };
  }

  /** Types what the first finding about names under a title says. */
  async type(title: string, fingerprint: string): Promise<void> {
    const finding = this.outcomes[title]?.findings.find(({ check, status }) => check === 'names' && status !== 'ok');
    const [, command = ''] =
      /^sudo node \S+ (setup .*?)(?: \(|;|$)/.exec(finding && 'fix' in finding ? finding.fix : '') ?? [];
    const args = command.replace('SHA256', fingerprint).split(' ');
    await execute(process.execPath, [MAIN, ...args], { cwd: this.dir });
  }
}
