import { hash } from 'node:crypto';
import { type Content, fromBytes, slice } from '../content.ts';
import { type Answer, type Exchange, failure } from './exchange.ts';
import type { Repository } from './repositories.ts';

/** GET and HEAD of a blob at the registry: inline, or the redirect to where it really is. */
export function answerBlob(exchange: Exchange, repository: Repository): Answer {
  const { profile, target, method } = exchange;
  const content = repository.blobs.get(target.reference);
  if (content === undefined) return failure(404, 'BLOB_UNKNOWN', 'blob unknown to registry');
  const redirect = profile.blobs;
  if (redirect !== undefined && !(method === 'HEAD' && redirect.head === 'direct')) {
    return redirectBlob(exchange, redirect);
  }
  return {
    status: 200,
    headers: {
      'content-type': 'application/octet-stream',
      'docker-content-digest': target.reference,
      etag: `"${target.reference}"`,
      'accept-ranges': 'bytes',
    },
    content,
    ranges: true,
  };
}

function redirectBlob({ site, target }: Exchange, redirect: NonNullable<Exchange['profile']['blobs']>): Answer {
  const path = `/${target.repository}/blobs/${target.reference.replace(':', '/')}`;
  const signed = (at: string) => (redirect.signed ? site.signatures.sign(at, redirect.signedForGetOnly === true) : at);
  const location = redirect.to === 'cdn' ? `${site.url('cdn')}${signed(path)}` : signed(`/artifacts-downloads${path}`);
  const page =
    redirect.html === true ? `<!doctype html><title>Redirecting...</title><a href="${location}">here</a>` : '';
  return {
    status: redirect.status,
    headers: {
      location,
      'docker-content-digest': target.reference,
      ...(redirect.html === true && { 'content-type': 'text/html; charset=utf-8' }),
      ...redirect.headers,
    },
    content: fromBytes(page),
  };
}

/** The host a blob redirect leads to: an object store, which knows signatures and no tokens. */
export function answerStored({ site, profile, target, request, method, path, query }: Exchange): Answer {
  if (profile.blobs?.signed === true) {
    if (profile.blobs.to === 'cdn' && request.headers.authorization !== undefined) {
      return xml(400, 'InvalidArgument', 'Only one auth mechanism allowed');
    }
    if (!site.signatures.opens(method, path, query)) return xml(403, 'AccessDenied', 'Request has expired');
  }
  const content = site.repositories.get(target.repository)?.blobs.get(target.reference);
  if (content === undefined) return xml(404, 'NoSuchKey', 'The specified key does not exist.');
  return {
    status: 200,
    headers: {
      'content-type': 'application/octet-stream',
      'accept-ranges': 'bytes',
      etag: `"${hash('md5', target.reference)}"`,
      'cache-control': 'public, max-age=14400',
    },
    content,
    ranges: true,
  };
}

function xml(status: number, code: string, message: string): Answer {
  const page = `<?xml version="1.0" encoding="UTF-8"?><Error><Code>${code}</Code><Message>${message}</Message></Error>`;
  return { status, headers: { 'content-type': 'application/xml' }, content: fromBytes(page) };
}

/** The part of an answer that one range asks for; several ranges at once get the whole, as from most object stores. */
export function applyRange(answer: Answer, header: string | undefined): Answer {
  const { content, ranges } = answer;
  const match = /^bytes=(\d*)-(\d*)$/.exec(header ?? '');
  if (content === undefined || ranges !== true || match === null || (match[1] === '' && match[2] === '')) return answer;
  const range = resolve(content, match[1] ?? '', match[2] ?? '');
  if (range === undefined) {
    return { ...failure(416, 'RANGE_INVALID', 'invalid range', { 'content-range': `bytes */${content.size}` }) };
  }
  const value = `bytes ${range.start}-${range.end - 1}/${content.size}`;
  return {
    status: 206,
    headers: { ...answer.headers, 'content-range': value },
    content: slice(content, range.start, range.end),
  };
}

function resolve({ size }: Content, first: string, last: string): { start: number; end: number } | undefined {
  const start = first === '' ? Math.max(0, size - Number(last)) : Number(first);
  const end = first === '' || last === '' ? size : Math.min(size, Number(last) + 1);
  return start < end ? { start, end } : undefined;
}

/** DELETE of a blob. */
export function deleteBlob({ target }: Exchange, repository: Repository): Answer {
  return repository.blobs.delete(target.reference)
    ? { status: 202 }
    : failure(404, 'BLOB_UNKNOWN', 'blob unknown to registry');
}
