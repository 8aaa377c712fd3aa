import { once } from 'node:events';
import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Readable } from 'node:stream';
import type { ExecutionContext } from 'ava';
import { type Events, subscribe } from '../../src/events.ts';
import type { UpstreamOptions, UpstreamRequest } from '../../src/upstream/contract.ts';
import { createNetwork, type NetworkOptions } from '../../src/upstream/network.ts';
import { Upstream } from '../../src/upstream/upstream.ts';

export interface Seen {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** A real server that notes what it is asked. */
export interface Site {
  readonly url: URL;
  readonly port: number;
  readonly seen: Seen[];
  readonly server: Server;
  close(): Promise<void>;
}

export type Respond = (request: Seen, response: ServerResponse) => void;

export async function serve(
  t: ExecutionContext,
  respond: Respond,
  tls?: { readonly cert: string; readonly key: string },
): Promise<Site> {
  const seen: Seen[] = [];
  const listener = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    let body = '';
    for await (const chunk of request) body += chunk;
    const { method = '', url = '', headers } = request;
    seen.push({ method, url, headers, body });
    respond({ method, url, headers, body }, response);
  };
  const server = tls === undefined ? createServer(listener) : createSecureServer(tls, listener);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const close = async (): Promise<void> => {
    server.closeAllConnections();
    if (server.listening) await new Promise((resolve) => server.close(resolve));
  };
  t.teardown(close);
  return { url: new URL(`${tls === undefined ? 'http' : 'https'}://127.0.0.1:${port}`), port, seen, server, close };
}

/** A port of the loopback interface where nobody listens. */
export async function deadPort(t: ExecutionContext): Promise<number> {
  const site = await serve(t, () => {});
  await site.close();
  return site.port;
}

export function networkOf(options: Partial<NetworkOptions> = {}) {
  return createNetwork({ servers: [], pins: {}, proxy: {}, isOwnListener: () => false, ...options });
}

export function upstreamOf(
  t: ExecutionContext,
  options: Partial<UpstreamOptions> & { readonly urls: readonly URL[] },
  network: Partial<NetworkOptions> = {},
): Upstream {
  const defaults = { name: 'test.example', hosts: [], tokenHosts: [], blobHosts: [] };
  const upstream = new Upstream({ ...defaults, ...options }, networkOf(network));
  t.teardown(() => upstream[Symbol.asyncDispose]());
  return upstream;
}

export const MANIFEST = '/v2/library/nginx/manifests/latest';

export function pull(options: Partial<UpstreamRequest> = {}): UpstreamRequest {
  return {
    kind: 'manifest',
    method: 'GET',
    repository: 'library/nginx',
    path: MANIFEST,
    identity: { kind: 'anonymous' },
    signal: new AbortController().signal,
    ...options,
  };
}

export async function textOf(body: Readable): Promise<string> {
  let text = '';
  for await (const chunk of body) text += chunk;
  return text;
}

/** Everything published on a channel until the test ends, by this test's upstream. */
export function eventsOf<Name extends keyof Events>(t: ExecutionContext, name: Name): Events[Name][] {
  const events: Events[Name][] = [];
  t.teardown(subscribe(name, (event) => events.push(event)));
  return events;
}

/** A registry that wants `Bearer <token>` of its own token endpoint `/token`, which answers with `issue`. */
export function bearerRegistry(options: {
  readonly issue: (request: Seen, response: ServerResponse) => void;
  readonly accepts: (authorization: string | undefined, url: string) => boolean;
  readonly challenge: (request: Seen) => string;
  readonly content?: Respond;
}): Respond {
  return (request, response) => {
    if (request.url.startsWith('/token')) return options.issue(request, response);
    if (options.accepts(request.headers.authorization, request.url)) {
      return options.content === undefined ? void response.end('content') : options.content(request, response);
    }
    response.writeHead(401, { 'www-authenticate': options.challenge(request) }).end('denied');
  };
}
