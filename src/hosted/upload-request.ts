import { type Algorithm, algorithmOf, type Digest, isDigestShaped, parseDigest } from '../oci/digest.ts';
import { RegistryError } from '../oci/error.ts';

/** Where a chunk belongs: `start` inclusive, `end` exclusive. */
export interface Chunk {
  readonly start: number;
  readonly end: number;
}

/**
 * The Content-Range of a chunk (distribution-spec, "Pushing a blob in chunks": `<start>-<end>`, both inclusive), also as
 * RFC 9110 spells it; `undefined` for a body that simply follows. Throws where it is malformed or `length` is another.
 */
export function parseChunk(contentRange: string | undefined, length: number | undefined): Chunk | undefined {
  if (contentRange === undefined) return undefined;
  const match = /^(?:bytes\s+)?(\d{1,15})-(\d{1,15})(?:\/(?:\d{1,15}|\*))?$/.exec(contentRange.trim());
  const [start, last] = [Number(match?.[1]), Number(match?.[2])];
  if (match === null || last < start) {
    throw new RegistryError('BLOB_UPLOAD_INVALID', 'Content-Range: expected <first byte>-<last byte>, such as 0-1023');
  }
  if (length !== undefined && length !== last + 1 - start) {
    throw new RegistryError('SIZE_INVALID', `Content-Range names ${last + 1 - start} bytes, Content-Length ${length}`);
  }
  return { start, end: last + 1 };
}

/** The Range of an upload's answers: what is there, inclusive. Clients know `0-0` as nothing. */
export function rangeOf(size: number): string {
  return `0-${Math.max(0, size - 1)}`;
}

/** The digest under `key`; `undefined` when the query has none. Throws for what cannot be verified. */
export function digestIn(query: URLSearchParams, key: 'digest' | 'mount'): Digest | undefined {
  const text = query.get(key);
  if (text === null) return undefined;
  const digest = parseDigest(text);
  if (digest !== undefined) return digest;
  const remark = isDigestShaped(text) ? 'only sha256 and sha512 digests can be verified' : 'expected algorithm:hex';
  throw new RegistryError('DIGEST_INVALID', `${key}: ${remark}`);
}

/** By what an upload is hashed while it comes: what its digest will be of, as far as the client says so. */
export function algorithmIn(query: URLSearchParams): Algorithm {
  const digest = digestIn(query, 'digest');
  if (digest !== undefined) return algorithmOf(digest);
  const name = query.get('digest-algorithm') ?? 'sha256';
  if (name === 'sha256' || name === 'sha512') return name;
  throw new RegistryError('DIGEST_INVALID', 'digest-algorithm: expected sha256 or sha512');
}
