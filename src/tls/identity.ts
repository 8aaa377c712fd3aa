import { publish } from '../events.ts';
import { addressBytes } from './address.ts';
import { type Brought, type BroughtFiles, readBrought } from './brought.ts';
import { createLeaves, type Leaves, type LeavesOptions, type ServerCertificate } from './leaves.ts';
import { type Root, readRoot } from './root.ts';
import { certifiedName, serverName } from './server-name.ts';

const day = 24 * 60 * 60 * 1000;
/** Every client has to be visited before its root ends; who brings a certificate renews it by a program. */
const ahead = { root: 60 * day, brought: 14 * day };

/** What the gateway proves its names with. */
export interface Certificates {
  readonly root: Root;
  readonly next?: Root;
  readonly brought?: Brought;
}

/** Reads what is there and makes nothing; `undefined` without a root. Throws when a part is unusable. */
export async function readCertificates(dir: string, brought?: BroughtFiles): Promise<Certificates | undefined> {
  const [root, next] = [await readRoot(dir, 'ca'), await readRoot(dir, 'next')];
  if (root === undefined) return undefined;
  return { root, ...(next && { next }), ...(brought && { brought: await readBrought(brought) }) };
}

/** Those of the host names and addresses that clients cannot reach, since no certificate covers them. */
function uncovered({ root, brought }: Certificates, hosts: Iterable<string>): readonly string[] {
  return [...hosts].filter((host) => !root.covers(host) && brought?.covers(host.replace('*', 'any')) !== true);
}

/** A sentence for everything about the certificates that an operator has to do something about. */
export function certificateWarnings(shown: Certificates, hosts: Iterable<string>, now: number): readonly string[] {
  const { root, next, brought } = shown;
  const nears = (end: Date, time: number): boolean => end.getTime() - now < time;
  const on = (end: Date): string => end.toISOString().slice(0, 10);
  const step = next === undefined ? 'make the next one (ca renew)' : 'switch to the next one (ca renew --activate)';
  return [
    ...uncovered(shown, hosts).map(
      (host) => `no certificate covers ${host}, so clients cannot reach it here: make a root that does (ca renew)`,
    ),
    // Machines without a clock of their own start before they have asked for the time, and are right soon after.
    ...(root.notBefore.getTime() > now ? [`the root CA begins on ${on(root.notBefore)}: is the clock right?`] : []),
    ...(nears(root.notAfter, ahead.root) ? [`the root CA ends on ${on(root.notAfter)}: ${step}`] : []),
    ...(brought !== undefined && nears(brought.notAfter, ahead.brought)
      ? [`the certificate of certs.chain ends on ${on(brought.notAfter)}: put its successor there`]
      : []),
  ];
}

export interface IdentityOptions extends Omit<LeavesOptions, 'presented' | 'certified'> {
  readonly dir: string;
  readonly brought?: BroughtFiles;
  /** Host names (lower case) and wildcards that we answer for beside our own. */
  readonly presented: ReadonlySet<string>;
  /** Milliseconds between two looks at the files. */
  readonly period?: number;
}

/**
 * The certificates of a running gateway. It looks at their files again every few seconds, so that another root or
 * another brought certificate is shown from the next connection on; running connections go on undisturbed.
 */
export class Identity implements Leaves, Disposable {
  readonly #options: IdentityOptions;
  readonly #timer: NodeJS.Timeout;
  readonly #announced = new Set<string>();
  #certificates: Certificates;
  #presented: ReadonlySet<string>;
  #leaves: Leaves;

  private constructor(options: IdentityOptions, certificates: Certificates) {
    this.#options = options;
    this.#presented = options.presented;
    this.#certificates = certificates;
    this.#leaves = this.#leavesOf(certificates.root);
    this.#timer = setInterval(() => void this.look(), options.period ?? 2_000).unref();
    this.#tell();
  }

  /** Throws when there is no root yet, or when it covers none of our own names. */
  static async open(options: IdentityOptions): Promise<Identity> {
    const certificates = await readCertificates(options.dir, options.brought);
    if (certificates === undefined) throw new Error(`there is no root CA in ${options.dir}`);
    return new Identity(options, certificates);
  }

  /** PEM of every root that clients are to trust: the serving one first, then the next. */
  get rootCertificates(): string {
    return rootCertificates(this.#certificates);
  }

  get warnings(): readonly string[] {
    return certificateWarnings(this.#certificates, this.#hosts, this.#now());
  }

  /** A client that names no server came by an address; who brings a certificate for that wants it shown. */
  own(): ServerCertificate {
    const { brought } = this.#certificates;
    const addresses = this.#options.own.filter((name) => addressBytes(name) !== undefined);
    return brought !== undefined && addresses.some(brought.covers) ? brought : this.#leaves.own();
  }

  secureContext(servername: string): ServerCertificate['context'] | undefined {
    const { brought } = this.#certificates;
    const name = serverName(servername);
    if (name === undefined || brought?.covers(name) !== true) return this.#leaves.secureContext(servername);
    const isOurs = this.#options.own.some((ours) => serverName(ours) === name);
    return isOurs || certifiedName(this.#presented, name) !== undefined ? brought.context : undefined;
  }

  /** Reads the files again. What is unusable changes nothing and is said once. */
  async look(): Promise<void> {
    try {
      const found = await readCertificates(this.#options.dir, this.#options.brought);
      if (found === undefined) throw new Error(`the root CA is gone from ${this.#options.dir}`);
      const { fingerprint } = found.root;
      if (fingerprint !== this.#certificates.root.fingerprint) {
        this.#leaves = this.#leavesOf(found.root);
        publish('notice', { level: 'info', message: `another root CA serves from now on: SHA-256 ${fingerprint}` });
      }
      const { brought } = this.#certificates;
      // The same object while it is the same certificate: a server's context is replaced when it is another.
      const isSame = found.brought?.cert === brought?.cert && found.brought?.key === brought?.key;
      this.#certificates = isSame && brought ? { ...found, brought } : found;
      this.#tell();
    } catch (error) {
      this.#warn(`the certificates stay as they are: ${error instanceof Error ? error.message : String(error)}`);
    }
  }

  /** Answers for other hosts from the next connection on. */
  present(hosts: ReadonlySet<string>): void {
    this.#presented = hosts;
    this.#tell();
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }

  #leavesOf(root: Root): Leaves {
    const certified = (name: string): string | undefined => certifiedName(this.#presented, name);
    const presented = (name: string): boolean => certified(name) !== undefined;
    return createLeaves(root, { own: this.#options.own, presented, certified, now: this.#now });
  }

  get #hosts(): readonly string[] {
    return [...this.#presented, ...this.#options.own];
  }

  readonly #now = (): number => (this.#options.now ?? Date.now)();

  #tell(): void {
    const { root, next, brought } = this.#certificates;
    const ends = {
      root: root.notAfter.getTime(),
      ...(next && { next: next.notAfter.getTime() }),
      ...(brought && { own: brought.notAfter.getTime() }),
    };
    publish('certificates', { ends, uncovered: uncovered(this.#certificates, this.#hosts) });
    for (const warning of this.warnings) this.#warn(warning);
  }

  #warn(message: string): void {
    if (this.#announced.has(message)) return;
    this.#announced.add(message);
    publish('notice', { level: 'warn', message });
  }
}

/** PEM of every root that clients are to trust: the serving one first, then the next. */
export function rootCertificates({ root, next }: Certificates): string {
  return [root, ...(next ? [next] : [])].map(({ certificatePem }) => `${certificatePem.trimEnd()}\n`).join('');
}
