import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { stringify } from 'yaml';

const PROGRAM = join(import.meta.dirname, '..', '..', 'bin', 'layover.js');

/** What `layover start --json` says when it is ready. */
interface Greeting {
  /** `host:port` of the listeners. */
  readonly https: string;
  readonly http: string;
  readonly admin: string;
  /** Milliseconds of the process's life. */
  readonly readyAfter: number;
}

/** An upstream that answers on loopback, as a gateway's configuration has to name it. */
export interface LocalUpstream {
  readonly url: string;
  /** `host:port` of everything that tokens and blobs come from. */
  readonly hosts: readonly string[];
  /** PEM; absent over plain HTTP. */
  readonly ca?: string;
  /** Further keys of the upstream. */
  readonly settings?: Readonly<Record<string, unknown>>;
}

/** A gateway as a user starts it: a process of its own on free ports, with everything it keeps below one directory. */
export class GatewayProcess implements AsyncDisposable {
  readonly #dir: string;
  #child: ChildProcess | undefined;
  #greeting: Greeting | undefined;
  #complaints = '';

  private constructor(dir: string) {
    this.#dir = dir;
  }

  /** Starts one in `dir`, which exists; `upstreams` are named as in a configuration, `settings` further keys of it. */
  static async start(
    dir: string,
    upstreams: Readonly<Record<string, LocalUpstream>>,
    settings: Readonly<Record<string, unknown>> = {},
  ): Promise<GatewayProcess> {
    await writeFile(join(dir, 'gateway.yaml'), stringify({ ...(await configuration(dir, upstreams)), ...settings }));
    const gateway = new GatewayProcess(dir);
    await gateway.up();
    return gateway;
  }

  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  get greeting(): Greeting {
    if (this.#greeting === undefined) throw new Error('the gateway is not running');
    return this.#greeting;
  }

  get httpsPort(): number {
    return Number(this.greeting.https.split(':').at(-1));
  }

  /** PEM of the root that clients trust. */
  rootCertificate(): Promise<string> {
    return readFile(join(this.#dir, 'certs', 'ca.crt'), 'utf8');
  }

  /** Starts it again on what it left; ports change. Throws with what it complained of when it does not start. */
  async up(): Promise<void> {
    const args = [PROGRAM, 'start', '--json', '--config', join(this.#dir, 'gateway.yaml')];
    const child = spawn(process.execPath, args, { cwd: this.#dir, stdio: ['ignore', 'pipe', 'pipe'] });
    this.#child = child;
    this.#complaints = '';
    child.stderr.on('data', (chunk: Buffer) => {
      this.#complaints += chunk;
    });
    const lines = createInterface({ input: child.stdout });
    const [line] = await Promise.race([once(lines, 'line'), once(child, 'exit').then(() => [])]);
    if (typeof line !== 'string') throw new Error(`the gateway did not start: ${this.#complaints.trim()}`);
    this.#greeting = JSON.parse(line) as Greeting;
  }

  /** Ends it as a service manager does, or by `SIGKILL`. */
  async down(signal: 'SIGTERM' | 'SIGKILL' = 'SIGTERM'): Promise<void> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill(signal);
    const impatience = setTimeout(() => child.kill('SIGKILL'), 10_000);
    await ended;
    clearTimeout(impatience);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.down();
  }
}

async function configuration(dir: string, upstreams: Readonly<Record<string, LocalUpstream>>): Promise<object> {
  const entries: [string, object][] = [];
  for (const [name, { url, hosts, ca, settings }] of Object.entries(upstreams)) {
    const file = join(dir, `${name}.pem`);
    if (ca !== undefined) await writeFile(file, ca);
    const trust = ca === undefined ? {} : { ca: file };
    entries.push([name, { urls: [url], tokenHosts: hosts, blobHosts: hosts, ...trust, ...settings }]);
  }
  return {
    listen: { https: '127.0.0.1:0', http: '127.0.0.1:0', admin: '127.0.0.1:0' },
    certs: { dir: join(dir, 'certs') },
    storage: { root: join(dir, 'data'), reserve: 0 },
    log: { level: 'warn', access: { file: join(dir, 'access.log') } },
    upstreams: Object.fromEntries(entries),
  };
}
