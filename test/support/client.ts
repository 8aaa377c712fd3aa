import { createHash } from 'node:crypto';
import http from 'node:http';
import https from 'node:https';
import net from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import tls from 'node:tls';

export type HeaderFields = Readonly<Record<string, string | readonly string[]>>;

export interface ClientOptions {
  /** PEM of the authorities trusted; without it, the system's. */
  readonly ca?: string | readonly string[];
  /** Where to connect for a `host:port` of a URL, as curl's --connect-to: Host and SNI stay those of the URL. */
  readonly connectTo?: Readonly<Record<string, { readonly address: string; readonly port: number }>>;
  /** Connections are kept and used again; otherwise each request has its own. */
  readonly keepAlive?: boolean;
}

export interface RequestOptions {
  readonly method?: string;
  /** A field with several values is sent as several lines. */
  readonly headers?: HeaderFields;
  /** Sent as the request target byte by byte, instead of the URL's normalised path and query. */
  readonly target?: string;
  /** SNI; the URL's host name unless given, none when empty. */
  readonly servername?: string;
  readonly body?: Uint8Array | string;
  readonly signal?: AbortSignal;
  /** Milliseconds without a byte before the answer counts as cut; a minute unless given. */
  readonly timeout?: number;
  /** Hangs up after so many body bytes. */
  readonly closeAfter?: number;
  /** Reads no faster than this. */
  readonly bytesPerSecond?: number;
  /** Keeps length and digest of the body but not its bytes. */
  readonly discard?: boolean;
  /** Called with the head, before any body byte. */
  readonly onHead?: (status: number) => void;
}

export interface ClientResponse {
  readonly status: number;
  /** Names in lower case, several lines joined as Node does. */
  readonly headers: http.IncomingHttpHeaders;
  readonly rawHeaders: readonly string[];
  /** Empty when discarded. */
  readonly body: Buffer;
  /** Body bytes received. */
  readonly length: number;
  /** `sha256:` digest of the body bytes received. */
  readonly digest: string;
  /** The framing of the message was honoured to its end. */
  readonly complete: boolean;
  /** What broke off an incomplete answer. */
  readonly error: Error | undefined;
  /** Milliseconds from the start to the head, to the first body byte and to the end. */
  readonly headMs: number;
  readonly firstByteMs: number;
  readonly totalMs: number;
}

/** A plain HTTP/1.1 client: it follows, decodes, normalises and retries nothing. */
export class Client implements Disposable {
  readonly #options: ClientOptions;
  readonly #http: http.Agent;
  readonly #https: https.Agent;

  constructor(options: ClientOptions = {}) {
    this.#options = options;
    const keepAlive = options.keepAlive ?? false;
    const ca = typeof options.ca === 'string' ? [options.ca] : options.ca;
    this.#http = new http.Agent({ keepAlive });
    // One context for all connections: making one costs more than a handshake.
    const secureContext = tls.createSecureContext(ca === undefined ? {} : { ca: [...ca] });
    this.#https = new https.Agent({ keepAlive, secureContext });
  }

  /** Makes one request. Throws when no answer begins; an answer that breaks off comes back with `complete: false`. */
  async request(url: string | URL, options: RequestOptions = {}): Promise<ClientResponse> {
    const started = performance.now();
    const message = await this.#send(new URL(url), options);
    const headMs = performance.now() - started;
    options.onHead?.(message.statusCode ?? 0);
    const body = await receive(message, options, started);
    return {
      status: message.statusCode ?? 0,
      headers: message.headers,
      rawHeaders: message.rawHeaders,
      headMs,
      totalMs: performance.now() - started,
      ...body,
    };
  }

  [Symbol.dispose](): void {
    this.#http.destroy();
    this.#https.destroy();
  }

  #send(url: URL, options: RequestOptions): Promise<http.IncomingMessage> {
    const secure = url.protocol === 'https:';
    const port = url.port === '' ? (secure ? 443 : 80) : Number(url.port);
    const name = url.hostname.replace(/^\[|\]$/g, '');
    const there = this.#options.connectTo?.[`${url.hostname}:${port}`];
    const servername = options.servername ?? (isAddress(name) ? '' : name);
    const settings: https.RequestOptions = {
      method: options.method ?? 'GET',
      host: there?.address ?? name,
      port: there?.port ?? port,
      path: options.target ?? `${url.pathname}${url.search}`,
      headers: { host: url.host, ...mutable(options.headers) },
      agent: secure ? this.#https : this.#http,
      ...(secure && { servername }),
      // Certificates are for the name in the URL, wherever the connection leads. Node checks them for the SNI, and keeps
      // no connection whose check is not its own.
      ...(secure &&
        servername !== name && { checkServerIdentity: (_: string, cert) => tls.checkServerIdentity(name, cert) }),
      ...(options.signal !== undefined && { signal: options.signal }),
    };
    const { promise, resolve, reject } = Promise.withResolvers<http.IncomingMessage>();
    const request = (secure ? https : http).request(settings, resolve);
    request.on('error', reject);
    const timeout = options.timeout ?? 60_000;
    request.setTimeout(timeout, () => request.destroy(new Error(`no byte for ${timeout} ms`)));
    request.end(options.body);
    return promise;
  }
}

type Received = Pick<ClientResponse, 'body' | 'length' | 'digest' | 'complete' | 'error' | 'firstByteMs'>;

async function receive(message: http.IncomingMessage, options: RequestOptions, started: number): Promise<Received> {
  const hash = createHash('sha256');
  const kept: Buffer[] = [];
  let [length, firstByteMs, error]: [number, number, Error | undefined] = [0, Number.NaN, undefined];
  try {
    for await (const bytes of message as AsyncIterable<Buffer>) {
      if (length === 0) firstByteMs = performance.now() - started;
      length += bytes.length;
      hash.update(bytes);
      if (options.discard !== true) kept.push(bytes);
      if (length >= (options.closeAfter ?? Infinity)) break;
      if (options.bytesPerSecond !== undefined) await sleep((bytes.length / options.bytesPerSecond) * 1000);
    }
  } catch (cause) {
    error = cause instanceof Error ? cause : new Error(String(cause));
  }
  const digest = `sha256:${hash.digest('hex')}`;
  return { body: Buffer.concat(kept), length, digest, complete: message.complete, error, firstByteMs };
}

function mutable(headers: HeaderFields = {}): http.OutgoingHttpHeaders {
  return Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [name, typeof value === 'string' ? value : [...value]]),
  );
}

function isAddress(name: string): boolean {
  return net.isIP(name) !== 0;
}
