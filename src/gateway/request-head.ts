import type { IncomingMessage } from 'node:http';
import { RegistryError } from '../oci/error.ts';
import type { RequestHeaders } from '../registry/exchange.ts';

/** What the gateway reads of a request's head; every other field stops here. */
export interface RequestHead {
  readonly authorization: string | undefined;
  readonly fields: RequestHeaders;
}

const ONLY_IF_CACHED = /(?:^|[\s,])only-if-cached(?:$|[\s,;=])/i;

/** Methods whose requests carry no body: a gateway and an upstream that disagree on it can be played off (RFC 9112 §11.2). */
const BODILESS = new Set(['GET', 'HEAD', 'DELETE', 'OPTIONS', 'TRACE']);

/**
 * Reads and checks the head of a request. Throws BAD_REQUEST for what different readers may take for different
 * things; 417 for an unknown expectation; 508 when the request has been here before,
 * which `Via` shows by our own name `via`.
 */
export function readHead(request: IncomingMessage, via: string): RequestHead {
  const { headers, rawHeaders, httpVersion } = request;
  if (httpVersion !== '1.1' && httpVersion !== '1.0') {
    throw new RegistryError('BAD_REQUEST', 'HTTP/1.1 is spoken here', { status: 505 });
  }
  checkFraming(request);
  if (headers.expect !== undefined && !expectsContinue(request)) {
    throw new RegistryError('BAD_REQUEST', 'unknown expectation', { status: 417 });
  }
  if (linesOf(rawHeaders, 'via').some((line) => names(line, via))) throw loop();
  const authorizations = linesOf(rawHeaders, 'authorization');
  if (authorizations.length > 1) throw new RegistryError('BAD_REQUEST', 'more than one Authorization header');
  return {
    authorization: authorizations[0],
    fields: {
      accept: linesOf(rawHeaders, 'accept'),
      ...field('range', headers.range),
      ...field('ifNoneMatch', headers['if-none-match']),
      ...field('ifRange', headers['if-range']),
      ...field('userAgent', headers['user-agent']),
      ...field('contentType', headers['content-type']),
      ...field('contentRange', headers['content-range']),
      ...(ONLY_IF_CACHED.test(headers['cache-control'] ?? '') && { onlyIfCached: true }),
    },
  };
}

/** Whether the request announces a body. */
export function hasBody({ headers }: IncomingMessage): boolean {
  const length = headers['content-length'];
  return headers['transfer-encoding'] !== undefined || (length !== undefined && Number(length) !== 0);
}

/** Whether the client waits for `100 Continue` before it sends its body. */
export function expectsContinue({ headers }: IncomingMessage): boolean {
  return headers.expect?.toLowerCase() === '100-continue';
}

/** The values of every line of one field, in order. */
export function linesOf(rawHeaders: readonly string[], name: string): string[] {
  const lines: string[] = [];
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const key = rawHeaders[index];
    if (key?.length === name.length && key.toLowerCase() === name) lines.push(rawHeaders[index + 1] ?? '');
  }
  return lines;
}

function checkFraming(request: IncomingMessage): void {
  const { headers, method = '' } = request;
  const coding = headers['transfer-encoding'];
  if (coding !== undefined && (headers['content-length'] !== undefined || coding.toLowerCase() !== 'chunked')) {
    throw new RegistryError('BAD_REQUEST', 'the length of the request body is ambiguous');
  }
  if (BODILESS.has(method) && hasBody(request)) {
    throw new RegistryError('BAD_REQUEST', `a ${method} request carries no body`);
  }
}

/** Whether a Via line (RFC 9110 §7.6.3) names us among its hops. */
function names(line: string, via: string): boolean {
  return line.split(',').some((hop) => hop.trim().split(/\s+/)[1] === via);
}

function loop(): RegistryError {
  return new RegistryError(
    'UNAVAILABLE',
    'this request has passed through this gateway before: the upstream’s name leads back to it. ' +
      'Give the gateway name servers or addresses of its own (dns.servers, dns.pins)',
    { status: 508 },
  );
}

function field<Name extends keyof RequestHeaders>(name: Name, value: unknown): Partial<RequestHeaders> {
  return typeof value === 'string' ? { [name]: value } : {};
}
