import { type Digest, parseDigest } from '../oci/digest.ts';
import { Extents } from './extents.ts';
import { asObject, isCount, parseObject, toJson } from './json.ts';

/** Where the two files of a spooled object are. */
export interface SpoolPaths {
  readonly part: string;
  readonly sidecar: string;
}

/** What is known about the bytes in a spool file, kept beside it. */
export interface Sidecar {
  readonly digest: Digest;
  /** Bytes of the whole object, once known. */
  readonly size?: number;
  readonly extents: Extents;
  /** The first `length` bytes hash to `hash`. */
  readonly verified: { readonly length: number; readonly hash: Digest };
}

export function formatSidecar(sidecar: Sidecar): Uint8Array {
  return toJson(sidecar);
}

/** `undefined` when the bytes are not a whole, consistent sidecar. */
export function parseSidecar(bytes: Uint8Array): Sidecar | undefined {
  const json = parseObject(bytes);
  const digest = digestIn(json?.digest);
  const extents = Extents.fromJSON(json?.extents);
  const verified = asObject(json?.verified);
  const hash = digestIn(verified?.hash);
  const length = verified?.length;
  if (json === undefined || digest === undefined || extents === undefined) return undefined;
  if (hash === undefined || !isCount(length) || length > extents.prefix()) return undefined;
  const { size } = json;
  if (size !== undefined && (!isCount(size) || extents.end > size)) return undefined;
  return {
    digest,
    ...(size !== undefined && { size }),
    extents,
    verified: { length, hash },
  };
}

function digestIn(value: unknown): Digest | undefined {
  return typeof value === 'string' ? parseDigest(value) : undefined;
}
