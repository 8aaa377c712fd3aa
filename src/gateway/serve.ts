import type { IncomingMessage, ServerResponse } from 'node:http';
import { ANONYMOUS, type Caller } from '../auth/principal.ts';
import { RegistryError } from '../oci/error.ts';
import type { Endpoints, Exchange, Reply } from '../registry/exchange.ts';
import { type Arrived, arrivalOf, type Believes } from './arrival.ts';
import type { RouteTable } from './door.ts';
import { type Pages, pageReply } from './pages.ts';
import type { PassThrough } from './pass-through.ts';
import { discardBody, requestBody } from './request-body.ts';
import { expectsContinue, hasBody, type RequestHead, readHead } from './request-head.ts';
import { route } from './route.ts';
import { ruleAgainst } from './rules.ts';
import type { Target } from './target.ts';
import { Trace } from './trace.ts';
import { cutShort, writeReply } from './write.ts';

export interface ServeOptions {
  /** As it is now. */
  readonly table: () => RouteTable;
  readonly endpoints: Endpoints;
  /** Who an Authorization header makes of a client of an upstream. Only called on the transparent door. */
  readonly identify: (authorization: string | undefined, upstream: string) => Caller | Promise<Caller>;
  /** Who it makes of a client of our own names, where there are users; throws for one that is wrong. */
  readonly identifyUser?: ((authorization: string | undefined, origin: string) => Promise<Caller>) | undefined;
  readonly passThrough: PassThrough;
  /** Of our own names; never shown on presented ones. */
  readonly pages: Pages;
  readonly believes: Believes;
  /** Our name in `Via`. */
  readonly via: string;
}

export type Serve = (listener: 'https' | 'http', request: IncomingMessage, response: ServerResponse) => void;

/** The way of every request: read its head, route it, get a reply, write it, tell about it. Never throws. */
export function createServe(options: ServeOptions): Serve {
  return (listener, request, response) => {
    const arrival = arrivalOf(listener, request, options.believes);
    const trace = new Trace(request, response, arrival);
    void serve(options, arrival, request, response, trace).catch((error: unknown) => trace.failed(error));
  };
}

async function serve(
  options: ServeOptions,
  arrival: Arrived,
  request: IncomingMessage,
  response: ServerResponse,
  trace: Trace,
): Promise<void> {
  try {
    const head = readHead(request, options.via);
    const table = options.table();
    const target = route(table, { ...arrival, method: trace.method, target: request.url ?? '' });
    trace.target = target;
    const rule = ruleAgainst(table, target);
    const reply =
      rule === undefined
        ? await replyTo(options, target, head, request, response, trace)
        : { ...errorReply(new RegistryError('DENIED', rule), request, response), outcome: DENIED };
    trace.outcome = reply.outcome;
    await writeReply(response, reply, trace);
  } catch (error) {
    if (trace.abandoned) return;
    trace.failed(error);
    if (response.headersSent) return cutShort(response);
    if (trace.target?.kind === 'registry') await discardBody(request);
    const reply = errorReply(error, request, response);
    trace.outcome = reply.outcome;
    await writeReply(response, reply, trace);
  }
}

async function replyTo(
  options: ServeOptions,
  target: Target,
  head: RequestHead,
  request: IncomingMessage,
  response: ServerResponse,
  trace: Trace,
): Promise<Reply> {
  switch (target.kind) {
    case 'page': {
      const { accept } = head.fields;
      const asked = { origin: target.origin, query: new URLSearchParams(target.query), accept };
      return pageReply(options.pages.get(target.page), asked);
    }
    case 'redirect':
      return { status: 308, headers: { Location: target.location, 'Content-Length': '0' }, outcome: NOT_CACHED };
    case 'pass': {
      if (head.fields.onlyIfCached === true) throw new RegistryError('NOT_CACHED');
      const { authorization } = await options.identify(head.authorization, target.upstream);
      return options.passThrough(request, response, target, authorization);
    }
    case 'registry': {
      const caller = await callerOf(options, target, head);
      trace.user = caller.login?.user;
      return options.endpoints({
        route: target.route,
        door: target.door,
        method: request.method as Exchange['method'],
        origin: target.origin,
        caller,
        headers: head.fields,
        body: target.route.kind === 'token' ? await readBody(request, response) : NO_BYTES,
        ...(target.route.kind !== 'token' && requestBody(request, response)),
        get signal() {
          return trace.signal;
        },
      });
    }
  }
}

const DENIED = { cache: 'none', why: 'denied-by-rule' } as const;
const NOT_CACHED = { cache: 'none', why: 'redirect' } as const;
const NO_BYTES = new Uint8Array();

/** On our own names without users a credential is ignored: dockerd sends its login for the Hub to every mirror. */
async function callerOf(
  { identify, identifyUser }: ServeOptions,
  { door, origin, route: { kind, ...rest } }: Extract<Target, { kind: 'registry' }>,
  { authorization }: RequestHead,
): Promise<Caller> {
  if (door !== 'transparent') return identifyUser?.(authorization, origin) ?? ANONYMOUS;
  const upstream = 'repository' in rest ? rest.repository.upstream : (rest.upstream ?? '');
  return identify(authorization, upstream);
}

const MAX_BODY = 64 * 1024;

async function readBody(request: IncomingMessage, response: ServerResponse): Promise<Uint8Array> {
  if (!hasBody(request)) return NO_BYTES;
  if (expectsContinue(request)) response.writeContinue();
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > MAX_BODY) throw new RegistryError('BAD_REQUEST', 'the request body is too large', { status: 413 });
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** A client whose next request could be misread, or whose body nobody will read, starts anew. */
function errorReply(error: unknown, request: IncomingMessage, response: ServerResponse): Reply {
  const shown = error instanceof RegistryError ? error : new RegistryError('UNKNOWN');
  const unread = hasBody(request) && !request.complete;
  if (unread || shown.code === 'BAD_REQUEST' || shown.code === 'MISDIRECTED') response.shouldKeepAlive = false;
  const headers = { ...shown.headers, 'Content-Type': 'application/json' };
  const body = { kind: 'bytes', bytes: Buffer.from(JSON.stringify(shown)) } as const;
  return { status: shown.status, headers, body, outcome: { cache: 'none', why: shown.code } };
}
