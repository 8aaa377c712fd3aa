import { type Digest, parseDigest } from './digest.ts';

/** What the gateway reads of a descriptor (OCI image-spec, descriptor.md). */
export interface Descriptor {
  readonly digest: Digest;
  /** Bytes. */
  readonly size: number;
  readonly mediaType?: string;
}

/** The parts of a manifest or an index that name other content. Bytes are never re-serialised from this. */
export interface Manifest {
  readonly mediaType?: string;
  /** Config, layers and child manifests. */
  readonly children: readonly Descriptor[];
  readonly subject?: Descriptor;
}

/** Reads a manifest or index; `undefined` when the bytes are not a JSON object. Malformed descriptors are left out. */
export function parseManifest(bytes: Uint8Array): Manifest | undefined {
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    return undefined;
  }
  if (!isObject(json)) return undefined;
  const children = [json.config, ...listOf(json.layers), ...listOf(json.manifests)].map(toDescriptor);
  const subject = toDescriptor(json.subject);
  return {
    ...(typeof json.mediaType === 'string' && { mediaType: json.mediaType }),
    children: children.filter((child) => child !== undefined),
    ...(subject !== undefined && { subject }),
  };
}

function toDescriptor(value: unknown): Descriptor | undefined {
  if (!isObject(value) || typeof value.digest !== 'string') return undefined;
  const digest = parseDigest(value.digest);
  const size = value.size;
  if (digest === undefined || typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0) return undefined;
  const mediaType = value.mediaType;
  return { digest, size, ...(typeof mediaType === 'string' && { mediaType }) };
}

function listOf(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
