import { type Digest, parseDigest } from '../oci/digest.ts';
import { Extents } from './extents.ts';
import { asObject, isCount, parseObject, toJson } from './json.ts';

/** Where the two files of a spooled object are. */
export interface SpoolPaths {
  readonly part: string;
  readonly sidecar: string;
}

/** Where bytes of a spool file came from; `validator` is the entity tag a resumed request is bound to. */
export interface SpoolSource {
  readonly upstream: string;
  readonly repository: string;
  readonly validator?: string;
}

/** What is known about the bytes in a spool file, kept beside it. */
export interface Sidecar {
  readonly digest: Digest;
  /** Bytes of the whole object, once known. */
  readonly size?: number;
  readonly mediaType?: string;
  readonly extents: Extents;
  /** The first `length` bytes hash to `hash`. */
  readonly verified: { readonly length: number; readonly hash: Digest };
  readonly sources: readonly SpoolSource[];
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
  const sources = sourcesIn(json?.sources);
  if (json === undefined || digest === undefined || extents === undefined) return undefined;
  if (hash === undefined || !isCount(length) || length > extents.prefix() || sources === undefined) return undefined;
  const { size, mediaType } = json;
  if (size !== undefined && (!isCount(size) || extents.end > size)) return undefined;
  return {
    digest,
    ...(size !== undefined && { size }),
    ...(typeof mediaType === 'string' && { mediaType }),
    extents,
    verified: { length, hash },
    sources,
  };
}

function digestIn(value: unknown): Digest | undefined {
  return typeof value === 'string' ? parseDigest(value) : undefined;
}

function sourcesIn(value: unknown): readonly SpoolSource[] | undefined {
  if (!Array.isArray(value)) return undefined;
  const sources: SpoolSource[] = [];
  for (const entry of value as unknown[]) {
    const { upstream, repository, validator } = asObject(entry) ?? {};
    if (typeof upstream !== 'string' || typeof repository !== 'string') return undefined;
    sources.push({ upstream, repository, ...(typeof validator === 'string' && { validator }) });
  }
  return sources;
}
