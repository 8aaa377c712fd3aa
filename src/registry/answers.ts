import type { ContentAnswer, Handling, UpstreamAnswer } from '../cache/answer.ts';
import { RegistryError } from '../oci/error.ts';
import { MediaType } from '../oci/media-type.ts';
import { type ByteRange, contentRange, type RangeSpec, resolveRanges } from '../oci/range.ts';
import { namespaced, type Repository } from '../oci/route.ts';
import type { Body, ByteSource, Exchange, Outcome, Reply } from './exchange.ts';
import { multipart } from './multipart.ts';
import type { Registry } from './registry.ts';

/** Content with the head that every client wants of it, whole or in the ranges asked for. */
export async function contentReply(
  exchange: Exchange,
  answer: ContentAnswer,
  upstreamTime: number,
  ranges?: readonly RangeSpec[],
): Promise<Reply> {
  const { digest, size, mediaType } = answer;
  const etag = `"${digest}"`;
  const headers = {
    'Content-Type': mediaType ?? MediaType.octetStream,
    'Content-Length': String(size),
    'Docker-Content-Digest': digest,
    ETag: etag,
    ...(mediaType === undefined && { 'Accept-Ranges': 'bytes' }),
    ...answer.live,
  };
  const outcome = outcomeOf(answer.handling, upstreamTime);
  const source = answer.body === undefined ? undefined : asSource(answer.body);
  if (matches(exchange.headers.ifNoneMatch, etag)) {
    await source?.[Symbol.asyncDispose]();
    return { status: 304, headers: { ETag: etag, 'Docker-Content-Digest': digest, ...answer.live }, outcome };
  }
  if (ranges !== undefined && source !== undefined) {
    return rangeReply(answer, { headers, outcome, source }, ranges);
  }
  return {
    status: 200,
    headers,
    outcome,
    ...(answer.body !== undefined && { body: bodyOf(answer.body, { start: 0, end: size }) }),
  };
}

interface Whole {
  readonly headers: Readonly<Record<string, string>>;
  readonly outcome: Outcome;
  readonly source: ByteSource;
}

async function rangeReply(
  answer: ContentAnswer,
  { headers, outcome, source }: Whole,
  specs: readonly RangeSpec[],
): Promise<Reply> {
  const { size } = answer;
  const ranges = resolveRanges(specs, size);
  const [first, ...others] = ranges;
  if (first === undefined) {
    await source[Symbol.asyncDispose]();
    throw new RegistryError('RANGE_INVALID', undefined, { headers: { 'Content-Range': `bytes */${size}` } });
  }
  if (others.length === 0) {
    const partial = {
      ...headers,
      'Content-Length': String(first.end - first.start),
      'Content-Range': contentRange(first, size),
    };
    return { status: 206, headers: partial, outcome, body: { kind: 'source', source, range: first } };
  }
  const refusal = whyNotParts(answer, ranges);
  if (refusal !== undefined) {
    await source[Symbol.asyncDispose]();
    throw new RegistryError('BAD_REQUEST', refusal);
  }
  const { contentType, length, ...parts } = multipart(ranges, size, headers['Content-Type'] ?? MediaType.octetStream);
  const partial = { ...headers, 'Content-Type': contentType, 'Content-Length': String(length) };
  return { status: 206, headers: partial, outcome, body: { kind: 'parts', source, ...parts } };
}

/** Clients that ask for several ranges take a 400 as a request to ask for fewer. */
function whyNotParts({ has, size }: ContentAnswer, ranges: readonly ByteRange[]): string | undefined {
  if (has !== undefined && !ranges.every(has)) return 'this blob is still being fetched: ask for one range at a time';
  const asked = ranges.reduce((sum, { start, end }) => sum + end - start, 0);
  return asked > size ? 'the ranges overlap: ask for each byte once' : undefined;
}

/**
 * An upstream's own answer. On our own names nothing is ever challenged: there a refusal looks like absence, so that a
 * client goes on to its next mirror.
 */
export function passedOn(
  registry: Registry,
  exchange: Exchange,
  repository: Repository,
  answer: UpstreamAnswer,
  upstreamTime: number,
): Reply {
  const { status, stream } = answer;
  const isOwnName = exchange.door !== 'transparent';
  if (isOwnName && (status === 401 || status === 403)) {
    stream?.destroy();
    throw new RegistryError('NAME_UNKNOWN', `${namespaced(repository)} does not exist, or is not public`);
  }
  const challenge = registry.challenges.rewrite(repository.upstream, exchange.origin, answer.challenges);
  const headers = {
    ...passedHeaders(answer.headers, isOwnName ? repository : undefined),
    ...(challenge !== undefined && { 'WWW-Authenticate': challenge }),
  };
  return {
    status,
    headers,
    outcome: outcomeOf(answer.handling, upstreamTime),
    ...(stream !== undefined && { body: { kind: 'stream', stream } as const }),
  };
}

const PASSED =
  /^(?:content-(?:type|length|encoding|range)|accept-ranges|etag|docker-(?:content-digest|ratelimit-source|distribution-api-version)|oci-[\w-]+|warning|retry-after|(?:x-)?ratelimit-[\w-]+)$/;

function passedHeaders(
  headers: Readonly<Record<string, string>>,
  ownName: Repository | undefined,
): Record<string, string> {
  const passed = Object.entries(headers).filter(([name]) => PASSED.test(name));
  const link = headers.link;
  return { ...Object.fromEntries(passed), ...(link !== undefined && { link: relativeLink(link, ownName) }) };
}

/** Keeps path and query of a Link's target, below the upstream's namespace on our own names. */
function relativeLink(link: string, ownName: Repository | undefined): string {
  return link.replace(/^\s*<([^>]*)>/, (_, target: string) => {
    const { pathname, search } = new URL(target, 'https://upstream.invalid');
    return `<${ownName === undefined ? pathname : pathname.replace(/^\/v2\//, `/v2/${ownName.upstream}/`)}${search}>`;
  });
}

function bodyOf(body: Uint8Array | ByteSource, range: ByteRange): Body {
  return body instanceof Uint8Array ? { kind: 'bytes', bytes: body } : { kind: 'source', source: body, range };
}

function asSource(body: Uint8Array | ByteSource): ByteSource {
  if (!(body instanceof Uint8Array)) return body;
  return {
    async read(buffer, position) {
      const bytes = body.subarray(position, position + buffer.length);
      buffer.set(bytes);
      return bytes.length;
    },
    async [Symbol.asyncDispose]() {},
  };
}

/** If-None-Match (RFC 9110 §13.1.2) against the one representation there is. */
function matches(ifNoneMatch: string | undefined, etag: string): boolean {
  if (ifNoneMatch === undefined) return false;
  return ifNoneMatch.split(',').some((candidate) => candidate.trim().replace(/^W\//, '') === etag);
}

function outcomeOf({ cache, why, stored }: Handling, upstreamTime: number): Outcome {
  const asked = cache === 'miss' || cache === 'revalidated' || cache === 'bypass' || cache === 'stale';
  return { cache, why, ...(stored !== undefined && { stored }), ...(asked && { upstreamTime }) };
}
