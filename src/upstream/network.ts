import type { Agent } from 'node:http';
import { Agent as SecureAgent } from 'node:https';
import { isIP, type LookupFunction, connect as netConnect, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { createSecureContext, getCACertificates, type SecureContext, connect as tlsConnect } from 'node:tls';
import { hostOf, isPrivateAddress, portOf } from './address.ts';
import { type ClientCertificate, UpstreamError } from './contract.ts';
import { Proxies, type ProxySettings, tunnel } from './proxy.ts';
import { type Address, Resolver } from './resolver.ts';

// Imported by name, it would load all of fetch and WebSocket.
const { Agent: PlainAgent } = process.getBuiltinModule('node:http');

export interface NetworkOptions {
  /** Name servers, `address[:port]`; empty: the system's. */
  readonly servers: readonly string[];
  /** Host name → addresses. */
  readonly pins: Readonly<Record<string, readonly string[]>>;
  readonly proxy: ProxySettings;
  /** Whether one of this gateway's listeners can be reached at an address and port. */
  readonly isOwnListener: (address: string, port: number) => boolean;
}

/** Where a connection goes, and under which conditions. */
export interface Target {
  /** Host name, or an IP address without brackets. */
  readonly host: string;
  readonly port: number;
  readonly secure: boolean;
  /** PEM certificates trusted beside the system's. */
  readonly ca?: string | undefined;
  readonly clientCert?: ClientCertificate | undefined;
  /** Refuse addresses outside the public internet. Behind a proxy only literal addresses can be judged. */
  readonly guarded?: boolean;
  /** Milliseconds until the connection, TLS included, must stand; 10 s when absent. */
  readonly timeout?: number;
}

const CONNECT_TIMEOUT = 10_000;
const TRY_NEXT_ADDRESS = 500;

/** The one way out: name resolution, egress proxy, trust, and the checks on where a connection may lead. */
export class Network {
  readonly #resolver: Resolver;
  readonly #proxies: Proxies;
  readonly #isOwnListener: NetworkOptions['isOwnListener'];
  readonly #contexts = new Map<string, SecureContext>();

  constructor(options: NetworkOptions) {
    this.#resolver = new Resolver(options.servers, options.pins);
    this.#proxies = new Proxies(options.proxy);
    this.#isOwnListener = options.isOwnListener;
  }

  /** Every address of a host name; throws the resolver's error. */
  resolve(host: string): Promise<readonly Address[]> {
    return this.#resolver.resolve(host);
  }

  /** Name resolution in the form `node:net` takes; knows nothing of ports, so it cannot see loops. */
  readonly lookup: LookupFunction = (host, options, callback) => {
    this.#resolver.resolve(host).then(
      (addresses) => answer(addresses, options, callback),
      (error: NodeJS.ErrnoException) => callback(error, ''),
    );
  };

  /** Whether every address of a URL's host lies outside the public internet; false when there is no telling. */
  async isPrivate(url: URL): Promise<boolean> {
    const host = hostOf(url);
    if (isIP(host) === 0 && this.#proxies.for(host, portOf(url), url.protocol === 'https:')) return false;
    try {
      return (await this.resolve(host)).every(({ address }) => isPrivateAddress(address));
    } catch {
      return false;
    }
  }

  /**
   * A connected socket, TLS already established. Throws UpstreamError: `unreachable`, `loop` when the name leads to
   * this gateway, `protocol` when a guarded target has a private address.
   */
  async connect(target: Target): Promise<Socket> {
    const { host, port, secure } = target;
    const timeout = target.timeout ?? CONNECT_TIMEOUT;
    const deadline = new AbortController();
    const timer = setTimeout(() => deadline.abort(), timeout);
    try {
      const proxy = this.#proxies.for(host, port, secure);
      const addresses = proxy === undefined ? await this.#addresses(target, deadline.signal) : [];
      if (proxy !== undefined) refuseLiteral(target);
      const tunnelled = proxy === undefined ? undefined : await tunnel(proxy, host, port, deadline.signal);
      const socket = this.#open(target, addresses, tunnelled);
      await established(
        socket,
        secure ? 'secureConnect' : 'connect',
        tunnelled !== undefined && !secure,
        deadline.signal,
      );
      return socket;
    } catch (error) {
      if (error instanceof UpstreamError) throw error;
      const late = deadline.signal.aborted;
      const reason = late ? `no connection within ${timeout / 1_000} s` : reasonOf(error);
      throw new UpstreamError('unreachable', `cannot connect to ${host}:${port}: ${reason}`, {
        cause: error,
        transient: !late,
      });
    } finally {
      clearTimeout(timer);
    }
  }

  /** A keep-alive agent of `node:http` or `node:https` whose connections are made by this network. */
  agent(options: Pick<Target, 'secure' | 'ca' | 'clientCert' | 'guarded'>): Agent {
    const agent = options.secure ? new SecureAgent({ keepAlive: true }) : new PlainAgent({ keepAlive: true });
    agent.createConnection = (to, callback) => {
      const target = { host: to.host ?? 'localhost', port: Number(to.port), ...options };
      this.connect(target).then(
        (socket) => callback?.(null, socket),
        (error) => callback?.(error, undefined as unknown as Duplex),
      );
      return undefined;
    };
    return agent;
  }

  async #addresses(target: Target, signal: AbortSignal): Promise<readonly Address[]> {
    const { host, port } = target;
    const addresses = await unlessAborted(this.resolve(host), signal);
    if (addresses.some(({ address }) => this.#isOwnListener(address, port))) {
      throw new UpstreamError(
        'loop',
        `${host} resolves to this gateway itself (port ${port}); name servers that know its real address belong ` +
          'in dns.servers, or the address itself in dns.pins',
      );
    }
    if (target.guarded && addresses.some(({ address }) => isPrivateAddress(address))) throw guardError(host);
    return addresses;
  }

  #open(target: Target, addresses: readonly Address[], tunnelled: Socket | undefined): Socket {
    const { host, port, secure } = target;
    // Not at once: a connection that fails before TLS is set up would throw here, and emit its error where nobody listens yet.
    const lookup: LookupFunction = (_host, options, callback) => process.nextTick(answer, addresses, options, callback);
    const families = { autoSelectFamily: true, autoSelectFamilyAttemptTimeout: TRY_NEXT_ADDRESS };
    const dial = { host, port, lookup, ...families, highWaterMark: 65_536 };
    if (!secure) return (tunnelled ?? netConnect(dial)).setNoDelay(true);
    const socket = tlsConnect({
      ...(tunnelled === undefined ? dial : { host, socket: tunnelled }),
      servername: isIP(host) === 0 ? host : '',
      secureContext: this.#context(target),
      minVersion: 'TLSv1.2',
      ALPNProtocols: ['http/1.1'],
    });
    return socket.setNoDelay(true);
  }

  /** Made on first use: reading the system's store takes tens of milliseconds. */
  #context({ ca, clientCert }: Target): SecureContext {
    const key = JSON.stringify([ca, clientCert]);
    const made = this.#contexts.get(key);
    if (made !== undefined) return made;
    const roots = new Set([...getCACertificates('default'), ...getCACertificates('system')]);
    const trusted = ca === undefined ? [...roots] : [...roots, ca];
    const context = createSecureContext({ ca: trusted, minVersion: 'TLSv1.2', ...clientCert });
    this.#contexts.set(key, context);
    return context;
  }
}

export function createNetwork(options: NetworkOptions): Network {
  return new Network(options);
}

function answer(
  addresses: readonly Address[],
  options: Parameters<LookupFunction>[1],
  callback: Parameters<LookupFunction>[2],
): void {
  const family = options.family === 'IPv4' ? 4 : options.family === 'IPv6' ? 6 : (options.family ?? 0);
  const fitting = addresses.filter((address) => family === 0 || address.family === family);
  const [first] = fitting;
  if (first === undefined) callback(Object.assign(new Error('no address'), { code: 'ENOTFOUND' }), '');
  else if (options.all) callback(null, [...fitting]);
  else callback(null, first.address, first.family);
}

function established(socket: Socket, event: string, already: boolean, signal: AbortSignal): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  if (already) resolve();
  const expire = (): void => void socket.destroy(new Error('connect timeout'));
  signal.addEventListener('abort', expire, { once: true });
  // The error listener stays: between two owners an error must not bring the process down.
  socket.once(event, resolve).on('error', reject);
  return promise.finally(() => signal.removeEventListener('abort', expire));
}

function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  return Promise.race([promise, aborted]);
}

function refuseLiteral(target: Target): void {
  if (target.guarded && isIP(target.host) !== 0 && isPrivateAddress(target.host)) throw guardError(target.host);
}

const ALLOW = 'blobHosts allows it for a redirect, urls for what a wildcard stands for';

function guardError(host: string): UpstreamError {
  return new UpstreamError('protocol', `refused to connect to ${host}, since it has a private address: ${ALLOW}`);
}

/** A short reason without addresses or credentials: the system's or OpenSSL's code, else the message. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown';
  return 'code' in error && typeof error.code === 'string' ? error.code : error.message;
}
