import type { IncomingMessage, OutgoingHttpHeaders } from 'node:http';
import { linesOf } from './request-head.ts';

/** Fields of one connection (RFC 9110 §7.6.1); `expect` is answered here. */
const HOP_BY_HOP =
  /^(?:connection|keep-alive|proxy-.*|te|trailer|transfer-encoding|upgrade|expect|content-length|host|http2-settings|__proto__)$/;
/** Who the client is, is the gateway's knowledge; what others claim about it is nobody's. */
const FORWARDING = /^(?:forwarded|x-forwarded-.*|x-real-ip|x-client-ip|true-client-ip)$/;

/** Request fields of the registry protocol, uploads included. */
const API_REQUEST =
  /^(?:accept|authorization|user-agent|range|if-.*|content-(?:type|range|digest)|digest|docker-.*|oci-.*|x-docker-.*|x-registry-.*|warning)$/;
const API_RESPONSE =
  /^(?:accept-ranges|allow|cache-control|content-.*|digest|docker-.*|etag|expires|last-modified|link|location|oci-.*|range|(?:x-)?ratelimit-.*|retry-after|vary|warning|www-authenticate|x-registry-.*|date)$/;

/**
 * The head of a request to pass on. Built anew from what may go through, since http-proxy-3 copies whatever it is
 * given, fields of the connection included. The framing is decided from the parsed message alone.
 */
export function requestHeaders(
  request: IncomingMessage,
  via: string,
  api: boolean,
  authorization: string | undefined,
): OutgoingHttpHeaders {
  const { headers, method = '' } = request;
  const kept = new Map<string, string[]>();
  const named = connectionOptions(headers.connection);
  for (const [name, value] of pairs(request.rawHeaders)) {
    if (HOP_BY_HOP.test(name) || named.has(name) || FORWARDING.test(name) || (api && !API_REQUEST.test(name))) continue;
    if (name !== 'authorization' && name !== 'via') kept.set(name, [...(kept.get(name) ?? []), value]);
  }
  if (authorization !== undefined) kept.set('authorization', [authorization]);
  // A layer decoded or encoded on the way no longer matches its digest.
  if (api) kept.set('accept-encoding', ['identity']);
  kept.set('via', [[...linesOf(request.rawHeaders, 'via'), `1.1 ${via}`].join(', ')]);
  const framing = framingOf(method, headers);
  return {
    ...Object.fromEntries(
      [...kept].map(([name, [only = '', ...more]]) => [name, more.length === 0 ? only : [only, ...more]]),
    ),
    ...framing,
  };
}

function framingOf(method: string, headers: IncomingMessage['headers']): OutgoingHttpHeaders {
  if (headers['transfer-encoding'] !== undefined) return { 'transfer-encoding': 'chunked' };
  if (headers['content-length'] !== undefined) return { 'content-length': headers['content-length'] };
  return method === 'GET' || method === 'HEAD' ? {} : { 'content-length': '0' };
}

/** The head of an answer to pass back, lines that repeat kept apart. */
export function responseHeaders(answer: IncomingMessage, api: boolean): Map<string, string[]> {
  const kept = new Map<string, string[]>();
  const named = connectionOptions(answer.headers.connection);
  const length = answer.headers['content-length'];
  for (const [name, value] of pairs(answer.rawHeaders)) {
    if (HOP_BY_HOP.test(name) || named.has(name) || (api && !API_RESPONSE.test(name))) continue;
    kept.set(name, [...(kept.get(name) ?? []), value]);
  }
  if (length !== undefined) kept.set('content-length', [length]);
  return kept;
}

function connectionOptions(connection: string | undefined): Set<string> {
  return new Set((connection ?? '').split(',').map((option) => option.trim().toLowerCase()));
}

function* pairs(rawHeaders: readonly string[]): Generator<[string, string]> {
  for (let index = 0; index < rawHeaders.length; index += 2) {
    yield [(rawHeaders[index] ?? '').toLowerCase(), rawHeaders[index + 1] ?? ''];
  }
}
