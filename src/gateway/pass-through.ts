import type { Agent, IncomingMessage, ServerResponse } from 'node:http';
import type { Readable } from 'node:stream';
import type { ProxyServer } from 'http-proxy-3';
import { publish } from '../events.ts';
import { RegistryError } from '../oci/error.ts';
import type { Reference, Repository } from '../oci/route.ts';
import type { Reply } from '../registry/exchange.ts';
import { requestHeaders, responseHeaders } from './forward-headers.ts';
import { relativeLink, relocate } from './relocate.ts';
import { expectsContinue, linesOf } from './request-head.ts';
import type { PassTarget } from './target.ts';

export interface PassThroughOptions {
  /** Our name in `Via`. */
  readonly via: string;
  /** Connects to an upstream as its configuration says: name resolution, egress proxy, trust. Must keep connections alive. */
  readonly agent: (upstream: string, base: URL) => Agent;
  /** A body at the pace that the limit of its upstream allows. */
  readonly pace: (upstream: string, body: Readable) => Readable;
  /** WWW-Authenticate lines as the client must see them. */
  readonly rewriteChallenges: (upstream: string, origin: string, lines: readonly string[]) => readonly string[];
  /** Told before the client is, when an upstream accepted a new manifest or removed one. */
  readonly onWrite: (repository: Repository, reference: Reference) => void | Promise<void>;
}

/**
 * Passes a request on with its body and resolves with the upstream's answer, whose body is still on its way.
 * Rejects with UNAVAILABLE (504) when there is none, with UPSTREAM_INVALID (502) when it is no HTTP or not to be trusted.
 */
export type PassThrough = (
  request: IncomingMessage,
  response: ServerResponse,
  target: PassTarget,
  authorization: string | undefined,
) => Promise<Reply>;

const CONNECT_TIMEOUT = 10_000;
/** Silence in both directions. */
const IDLE_TIMEOUT = 300_000;

interface Waiting {
  readonly resolve: (answer: IncomingMessage) => void;
  readonly reject: (error: Error) => void;
}

export function createPassThrough(options: PassThroughOptions): PassThrough {
  const waiting = new WeakMap<ServerResponse, Waiting>();
  let proxy: Promise<ProxyServer> | undefined;

  return async (request, response, target, authorization) => {
    const started = performance.now();
    proxy ??= openProxy(waiting);
    const through = await proxy;
    // The proxy notices a client's going only from here on.
    if (response.destroyed) throw new RegistryError('UNAVAILABLE', 'the client went away');
    if (expectsContinue(request)) response.writeContinue();
    request.headers = requestHeaders(request, options.via, target.api, authorization) as IncomingMessage['headers'];
    request.url = target.path;
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
    waiting.set(response, { resolve, reject });
    through.web(request, response, { target: target.base, agent: options.agent(target.upstream, target.base) }, reject);
    const answer = await promise.catch((error: unknown) => {
      throw failure(error);
    });
    await tellOfWrite(options, request, target, answer);
    return replyOf(options, request, target, answer, performance.now() - started);
  };
}

/** Loads the proxy when something is passed through for the first time; pulls never need it. */
async function openProxy(waiting: WeakMap<ServerResponse, Waiting>): Promise<ProxyServer> {
  // It would make the proxy use fetch, which decodes bodies and follows redirects.
  delete process.env.FORCE_FETCH_PATH;
  const { createProxyServer } = await import('http-proxy-3');
  const proxy = createProxyServer({
    changeOrigin: true,
    // Without it the proxy would normalise the path.
    toProxy: true,
    selfHandleResponse: true,
    connectTimeout: CONNECT_TIMEOUT,
    proxyTimeout: IDLE_TIMEOUT,
  });
  proxy.on('proxyRes', (answer, _, response) => waiting.get(response)?.resolve(answer));
  proxy.on('econnreset', (error, _, response) => waiting.get(response as ServerResponse)?.reject(error));
  return proxy;
}

const NOT_TO_BE_TRUSTED = /^(?:HPE_|ERR_TLS|ERR_SSL|CERT_|UNABLE_TO_|DEPTH_ZERO|SELF_SIGNED|HOSTNAME_)/;

function failure(cause: unknown): RegistryError {
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : '';
  return new RegistryError(NOT_TO_BE_TRUSTED.test(code) ? 'UPSTREAM_INVALID' : 'UNAVAILABLE', undefined, { cause });
}

async function tellOfWrite(
  { onWrite }: PassThroughOptions,
  { method }: IncomingMessage,
  { subject }: PassTarget,
  { statusCode = 0 }: IncomingMessage,
): Promise<void> {
  const accepted = statusCode >= 200 && statusCode < 300;
  if (subject?.reference === undefined || !accepted || (method !== 'PUT' && method !== 'DELETE')) return;
  try {
    await onWrite(subject.repository, subject.reference);
  } catch (error) {
    publish('notice', { level: 'error', message: 'what a push changed could not be forgotten', error });
  }
}

function replyOf(
  { pace, rewriteChallenges }: PassThroughOptions,
  request: IncomingMessage,
  { api, base, origin, upstream }: PassTarget,
  answer: IncomingMessage,
  upstreamTime: number,
): Reply {
  const status = answer.statusCode ?? 502;
  const headers = responseHeaders(answer, api);
  const location = headers.get('location')?.[0];
  if (location !== undefined) headers.set('location', [relocate(location, base, origin)]);
  const links = headers.get('link');
  const challenges = linesOf(answer.rawHeaders, 'www-authenticate');
  if (api && links !== undefined)
    headers.set(
      'link',
      links.map((line) => relativeLink(line, base)),
    );
  if (api && challenges.length > 0)
    headers.set('www-authenticate', [...rewriteChallenges(upstream, origin, challenges)]);
  const outcome = { cache: 'bypass', why: 'passed-through', upstreamTime } as const;
  const reply = { status, headers: Object.fromEntries(headers), outcome };
  if (request.method !== 'HEAD' && status !== 204 && status !== 304) {
    return { ...reply, body: { kind: 'stream', stream: pace(upstream, answer) } };
  }
  answer.resume();
  return reply;
}
