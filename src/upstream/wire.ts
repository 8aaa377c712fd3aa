import { isIP, type Socket } from 'node:net';
import type { Readable } from 'node:stream';
import type { Agent, buildConnector, Dispatcher } from 'undici';
import { publish, type UpstreamRequestEvent } from '../events.ts';
import { type ClientCertificate, UpstreamError } from './contract.ts';
import { type Network, reasonOf } from './network.ts';
import { VIA } from './via.ts';

/** One request on the wire, and nothing that it leads to. */
export interface Exchange {
  readonly kind: UpstreamRequestEvent['kind'];
  readonly method: 'GET' | 'HEAD' | 'POST';
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: Uint8Array | undefined;
  /** Must not connect to a private address. */
  readonly guarded: boolean;
  /** Asked of the upstream itself, not of a place that a redirect led to. */
  readonly own: boolean;
  /** Uses a connection of its own, so that no answer can be taken for another credential's. */
  readonly alone?: boolean;
  readonly signal: AbortSignal;
  /** Milliseconds until the answer's head must be there, connecting included; 30 s when absent. */
  readonly headTimeout?: number | undefined;
}

export interface Answer {
  readonly url: URL;
  readonly status: number;
  /** Names in lower case, repeated fields joined by `, `. */
  readonly headers: Readonly<Record<string, string>>;
  readonly challenges: readonly string[];
  readonly body: Body;
}

type Body = Readable & Pick<Dispatcher.ResponseData['body'], 'dump'>;

const HEAD_TIMEOUT = 30_000;
const NO_PROGRESS = 30_000;
/** To one origin. Who comes when all carry a slow body waits, and the time for the head of its answer runs. */
const CONNECTIONS = 128;
const KEEP_ALIVE = 15_000;
const MAX_HEAD = 65_536;

type Undici = typeof import('undici');
let loading: Promise<Undici> | undefined;

/** undici takes longer to load than anything else here: it is not waited for before the doors are open. */
export function loadUndici(): Promise<Undici> {
  loading ??= import('undici');
  return loading;
}

/** Told about each connection attempt to an origin. */
export interface ConnectWatch {
  succeeded(): void;
  failed(): void;
}

export interface WireOptions {
  /** Namespace of the upstream, for events and messages. */
  readonly name: string;
  readonly ca?: string | undefined;
  readonly clientCert?: ClientCertificate | undefined;
  /** Connections over which one blob may come. */
  readonly parallel: number;
  /** The origins that the certificate may be shown to. */
  readonly trusted: readonly string[];
  readonly network: Network;
  readonly watch: (origin: string) => ConnectWatch | undefined;
}

/** HTTP/1.1 exchanges with the hosts of one upstream, over pools of its own. */
export class Wire implements AsyncDisposable {
  readonly #options: WireOptions;
  readonly #agents = new Map<string, Agent>();

  constructor(options: WireOptions) {
    this.#options = options;
  }

  /** The answer's head with its body still to come. Throws UpstreamError, or the signal's reason once it is aborted. */
  async exchange(exchange: Exchange): Promise<Answer> {
    const started = performance.now();
    const deadline = new AbortController();
    const limit = exchange.headTimeout ?? HEAD_TIMEOUT;
    const timer = setTimeout(() => deadline.abort(headTimeout(exchange.url, limit)), limit);
    try {
      const signal = AbortSignal.any([exchange.signal, deadline.signal]);
      const answer = asAnswer(exchange.url, await this.#send(exchange, signal));
      this.#publish(exchange, started, { status: answer.status });
      return answer;
    } catch (error) {
      const failure = exchange.signal.aborted ? undefined : asFailure(error, exchange.url);
      this.#publish(exchange, started, { error: failure?.message ?? 'aborted' });
      throw failure ?? exchange.signal.reason;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Ends every connection; what is running fails. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#agents.values()].map((agent) => agent.destroy()));
  }

  async #send(exchange: Exchange, signal: AbortSignal): Promise<Dispatcher.ResponseData> {
    const { method, body, alone } = exchange;
    const undici = await loadUndici();
    return undici.request(exchange.url, {
      dispatcher: this.#agent(exchange, undici),
      method,
      headers: { 'accept-encoding': 'identity', via: VIA, ...exchange.headers },
      ...(body !== undefined && { body }),
      ...(alone && { reset: true }),
      signal,
    });
  }

  /** Bodies have pools of their own: a HEAD must not queue behind 32 downloads. */
  #agent(exchange: Exchange, undici: Undici): Agent {
    const { guarded, kind, method, own, url } = exchange;
    const { clientCert, trusted } = this.#options;
    const certified = clientCert !== undefined && own && trusted.includes(url.origin);
    const key = `${guarded} ${certified} ${kind === 'blob' && method === 'GET'}`;
    const made = this.#agents.get(key);
    if (made !== undefined) return made;
    const agent = new undici.Agent({
      connections: CONNECTIONS * this.#options.parallel,
      pipelining: 1,
      allowH2: false,
      headersTimeout: 0,
      bodyTimeout: NO_PROGRESS,
      keepAliveTimeout: KEEP_ALIVE,
      maxHeaderSize: MAX_HEAD,
      connect: (to, callback) => {
        this.#connect(to, guarded, certified).then(
          (socket) => callback(null, socket),
          (error: Error) => callback(error, null),
        );
      },
    });
    this.#agents.set(key, agent);
    return agent;
  }

  async #connect(to: buildConnector.Options, guarded: boolean, certified: boolean): Promise<Socket> {
    const { network, ca, watch } = this.#options;
    const clientCert = certified ? this.#options.clientCert : undefined;
    const secure = to.protocol === 'https:';
    const watcher = watch(originOf(to));
    const port = Number(to.port) || (secure ? 443 : 80);
    try {
      const socket = await network.connect({ host: to.hostname, port, secure, ca, clientCert, guarded });
      watcher?.succeeded();
      return socket;
    } catch (error) {
      if (error instanceof UpstreamError && error.failure === 'unreachable') watcher?.failed();
      throw error;
    }
  }

  #publish(
    exchange: Exchange,
    started: number,
    result: { readonly status: number } | { readonly error: string },
  ): void {
    const { kind, method } = exchange;
    const time = performance.now() - started;
    publish('upstreamRequest', { upstream: this.#options.name, kind, method, time, ...result });
  }
}

/** Reads a small body whole; `undefined` when it is larger than `limit` or does not come within 10 s. */
export async function readBody(body: Readable, limit: number): Promise<Uint8Array | undefined> {
  const timer = setTimeout(() => body.destroy(), 10_000);
  const chunks: Uint8Array[] = [];
  let size = 0;
  try {
    for await (const chunk of body) {
      size += chunk.length;
      if (size > limit) return undefined;
      chunks.push(chunk);
    }
    return Buffer.concat(chunks);
  } catch {
    return undefined;
  } finally {
    clearTimeout(timer);
  }
}

/** Lets go of an answer nobody wants to read; its connection is kept when the rest is short. */
export function discard(answer: Answer): void {
  answer.body.dump({ limit: 65_536 }).catch(() => {});
}

function asAnswer(url: URL, response: Dispatcher.ResponseData): Answer {
  // A body may be destroyed before anyone listens; that is no reason to end the process.
  response.body.on('error', scrub);
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(response.headers)) {
    if (value !== undefined) headers[name] = Array.isArray(value) ? value.join(', ') : value;
  }
  const challenges = [response.headers['www-authenticate'] ?? []].flat();
  return { url, status: response.statusCode, headers, challenges, body: response.body };
}

function headTimeout(url: URL, limit: number): UpstreamError {
  return new UpstreamError('unreachable', `${url.host} did not answer within ${limit / 1_000} s`);
}

/** Codes of undici for what a second try will not mend. */
const BROKEN = /^UND_ERR_(?:HEADERS_OVERFLOW|INVALID_ARG|NOT_SUPPORTED|RES_CONTENT_LENGTH_MISMATCH)$/;

function asFailure(error: unknown, url: URL): UpstreamError {
  if (error instanceof UpstreamError) return error;
  scrub(error);
  const reason = reasonOf(error);
  if (isParserError(error) || BROKEN.test(reason)) {
    return new UpstreamError('protocol', `${url.host} does not speak HTTP: ${reason}`, { cause: error });
  }
  const message = `${url.host} closed the connection before it answered: ${reason}`;
  return new UpstreamError('unreachable', message, { cause: error, transient: true });
}

/** The parser's error holds the bytes it choked on, which may be a token. */
function scrub(error: unknown): void {
  if (isParserError(error)) Object.assign(error, { data: '' });
}

function isParserError(error: unknown): error is Error {
  return error instanceof Error && error.name === 'HTTPParserError';
}

function originOf({ protocol, hostname, port }: buildConnector.Options): string {
  const host = isIP(hostname) === 6 ? `[${hostname}]` : hostname;
  return new URL(`${protocol}//${host}:${port}`).origin;
}
