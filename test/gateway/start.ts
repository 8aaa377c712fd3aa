import { Agent, request as httpRequest, type IncomingHttpHeaders } from 'node:http';
import { request as httpsRequest, Agent as TlsAgent } from 'node:https';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { ExecutionContext } from 'ava';
import { ANONYMOUS } from '../../src/auth/principal.ts';
import type { UpstreamConfig } from '../../src/config/config.ts';
import { type RequestEvent, subscribe } from '../../src/events.ts';
import { createGateway, type Gateway, type GatewayAddresses, type GatewayOptions } from '../../src/gateway/gateway.ts';
import type { PageRequest, Pages } from '../../src/gateway/pages.ts';
import type { ByteSource, Reply } from '../../src/registry/exchange.ts';
import { createAuthority } from '../support/pki.ts';

const authority = createAuthority();
const { cert, key } = authority.issue(['registry.example', 'gateway.lan', 'localhost', '127.0.0.1']);
const anyPort = { host: '127.0.0.1', port: 0 };

/** The root that test clients trust. */
export const { ca } = authority;
export { authority };

export function upstreamConfig(name: string, some: Partial<UpstreamConfig> = {}): UpstreamConfig {
  const tags = { ttl: 0, staleOnError: 0 };
  const urls = [new URL(`https://${name}`)];
  return {
    name,
    hosts: [name],
    authHosts: [],
    urls,
    tokenHosts: [],
    blobHosts: [],
    tags,
    challenge: 'relay',
    prefetch: 'off',
    complete: 'off',
    deny: [],
    parallel: 1,
    credentials: [],
    limit: {},
    ...some,
  };
}

/** As far as the gateway is concerned. */
const pages: Pages = new Map([
  ['/', ({ origin }: PageRequest) => ({ contentType: 'text/plain', body: `see ${origin}/ca.crt` })],
  ['/ca.crt', () => ({ contentType: 'application/x-x509-ca-cert', body: ca })],
]);

export interface Running {
  readonly gateway: Gateway;
  readonly bound: GatewayAddresses;
  /** The first of each. */
  readonly https: AddressInfo;
  readonly http: AddressInfo;
  readonly admin?: AddressInfo;
  /** Every request event of this gateway, told apart by its user agent `agent`. */
  readonly events: RequestEvent[];
  readonly agent: string;
}

/** Starts a gateway on loopback that presents `registry.example`; every option can be replaced. */
export async function start(t: ExecutionContext, some: Partial<GatewayOptions> = {}): Promise<Running> {
  const gateway = createGateway({
    config: {
      listen: { https: [anyPort], http: [anyPort], admin: [anyPort], proxies: [] },
      metrics: 'admin',
      names: ['gateway.lan', '127.0.0.1'],
      mirror: { default: 'registry.example' },
      hosted: { repositories: ['team/**', 'myapp'], push: 'none', delete: [] },
      upstreams: { 'registry.example': upstreamConfig('registry.example') },
    },
    tls: { cert, key },
    via: 'layover-test',
    pages,
    endpoints: async () => text('hello'),
    identify: (authorization) => ({ ...ANONYMOUS, ...(authorization !== undefined && { authorization }) }),
    agent: () => new Agent({ keepAlive: true }),
    pace: (_, body) => body,
    rewriteChallenges: (_, __, lines) => lines,
    onWrite: () => undefined,
    ...some,
  });
  const events: RequestEvent[] = [];
  const agent = `test/${Math.random()}`;
  t.teardown(subscribe('request', (event) => event.userAgent === agent && events.push(event)));
  t.teardown(() => gateway.close(0));
  const bound = await gateway.listen();
  const { https, http, admin } = bound;
  return { gateway, bound, https: https[0], http: http[0], ...(admin && { admin: admin[0] }), events, agent };
}

export function text(content: string): Reply {
  const bytes = Buffer.from(content);
  return { status: 200, headers: { 'Content-Type': 'text/plain' }, body: { kind: 'bytes', bytes }, outcome: HIT };
}

export const HIT = { cache: 'hit', why: 'stored' } as const;

/** A source over bytes in memory; `fault` may wait or throw before each read. */
export function sourceOf(
  bytes: Uint8Array,
  fault: (position: number, signal: AbortSignal) => unknown = () => undefined,
): ByteSource & { disposed: boolean } {
  return {
    disposed: false,
    async read(buffer, position, signal) {
      await fault(position, signal);
      const part = bytes.subarray(position, position + buffer.length);
      buffer.set(part);
      return part.length;
    },
    async [Symbol.asyncDispose]() {
      this.disposed = true;
    },
  };
}

export interface Asking {
  readonly method?: string;
  readonly path?: string;
  readonly host?: string;
  readonly headers?: Record<string, string | string[]>;
  readonly body?: Uint8Array | string;
}

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly rawHeaders: string[];
  readonly body: Buffer;
  /** The connection ended before the announced length was there. */
  readonly cut: boolean;
}

/** Asks over TLS with `host` (default: the presented registry) as server name and Host. */
export function ask({ https, agent }: Running, asking: Asking = {}): Promise<Answer> {
  const { host = 'registry.example' } = asking;
  const tls = new TlsAgent({ ca, servername: host, keepAlive: false });
  return send(httpsRequest, https.port, tls, agent, { ...asking, host });
}

/** Asks the plain listener. */
export function askPlain({ http, agent }: Running, asking: Asking = {}): Promise<Answer> {
  return send(httpRequest, http.port, new Agent(), agent, { host: 'gateway.lan', ...asking });
}

function send(
  make: typeof httpRequest | typeof httpsRequest,
  port: number,
  agent: Agent,
  userAgent: string,
  { method = 'GET', path = '/v2/', host = '', headers = {}, body }: Asking,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const head = { host, 'user-agent': userAgent, ...headers };
    const request = make({ host: '127.0.0.1', port, method, path, agent, headers: head }, (response) => {
      const { statusCode: status = 0, headers: fields, rawHeaders } = response;
      const chunks: Buffer[] = [];
      const done = (cut: boolean): void =>
        resolve({ status, headers: fields, rawHeaders, body: Buffer.concat(chunks), cut });
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () => done(false));
      response.on('error', () => done(true));
    });
    request.on('error', reject);
    request.end(body);
  });
}

/** What a raw client saw: every byte, and whether the connection ended by FIN (`end`) or otherwise. */
export interface Raw {
  readonly received: string;
  readonly ended: boolean;
  readonly error: string | undefined;
}

/** Sends text as it is and reads until the connection is over. */
export async function raw(running: Running, over: 'tls' | 'plain', head: string): Promise<Raw> {
  const socket = dial(running, over);
  socket.write(head);
  return readAll(socket);
}

export function dial({ https, http }: Running, over: 'tls' | 'plain'): Socket {
  if (over === 'plain') return connect({ host: '127.0.0.1', port: http.port });
  return connectTls({ host: '127.0.0.1', port: https.port, ca, servername: 'registry.example' });
}

export function readAll(socket: Socket): Promise<Raw> {
  return new Promise((resolve) => {
    let received = '';
    let ended = false;
    let error: string | undefined;
    socket.setEncoding('latin1');
    socket.on('data', (chunk: string) => {
      received += chunk;
    });
    socket.on('end', () => {
      ended = true;
    });
    socket.on('error', (cause: NodeJS.ErrnoException) => {
      error = cause.code ?? cause.message;
    });
    socket.on('close', () => resolve({ received, ended, error }));
  });
}

/** Waits until `condition` holds, at most ten seconds. */
export async function until(condition: () => boolean): Promise<void> {
  const deadline = Date.now() + 10_000;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error('it did not come to pass in time');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
