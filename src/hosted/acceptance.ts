import { type Digest, parseDigest } from '../oci/digest.ts';
import { RegistryError } from '../oci/error.ts';
import { essence, MediaType } from '../oci/media-type.ts';
import { objectionTo } from './json-keys.ts';

/** Bytes; registries have to take as much (distribution-spec, "Pushing manifests"). */
export const MAX_MANIFEST = 4 << 20;
const MAX_DESCRIPTORS = 10_000;

/** What a registry needs to know of a manifest to keep it. */
export interface Accepted {
  readonly mediaType: string;
  /** Config, layers or manifests: what has to be in the repository already. */
  readonly references: readonly Digest[];
  readonly subject?: Digest;
  /** What referrers of the subject are filtered by (distribution-spec, "Listing referrers"). */
  readonly artifactType?: string;
  readonly annotations?: Readonly<Record<string, string>>;
}

const KINDS = new Map<string, 'image' | 'index'>([
  [MediaType.ociManifest, 'image'],
  [MediaType.dockerManifest, 'image'],
  [MediaType.ociIndex, 'index'],
  [MediaType.dockerList, 'index'],
]);

/** Layers that registries need not have, since their owners distribute them alone. */
const ELSEWHERE = /^application\/vnd\.(?:oci\.image\.layer\.nondistributable\.v1\.|docker\.image\.rootfs\.foreign\.)/;

type Json = Readonly<Record<string, unknown>>;

/**
 * Reads a manifest that is pushed; throws MANIFEST_INVALID for what a registry must not keep: bytes that two readers
 * could take for two manifests, that are of another type than the client says, or point to nothing that can be checked.
 */
export function acceptManifest(bytes: Uint8Array, contentType: string | undefined): Accepted {
  const json = parse(bytes);
  const mediaType = typeOf(json, contentType);
  const kind = KINDS.get(mediaType);
  const forbidden = (kind === 'index' ? ['config', 'layers'] : ['manifests']).find((key) => Object.hasOwn(json, key));
  if (forbidden !== undefined) throw invalid(`${mediaType} has no ${forbidden}`);
  if (json.schemaVersion !== 2) throw invalid('schemaVersion: expected 2');
  const descriptors = [
    ...(json.config === undefined ? [] : [descriptor(json.config, 'config')]),
    ...descriptorsIn(json, 'layers'),
    ...descriptorsIn(json, 'manifests'),
  ];
  if (descriptors.length > MAX_DESCRIPTORS) throw invalid(`it names more than ${MAX_DESCRIPTORS} others`);
  const required = descriptors.filter((found) => !ELSEWHERE.test(found.mediaType ?? ''));
  const artifactType = artifactTypeOf(json);
  const annotations = annotationsOf(json);
  return {
    mediaType,
    references: [...new Set(required.map(({ digest }) => digest))],
    ...(json.subject !== undefined && { subject: descriptor(json.subject, 'subject').digest }),
    ...(artifactType !== undefined && { artifactType }),
    ...(annotations !== undefined && { annotations }),
  };
}

function parse(bytes: Uint8Array): Json {
  let text: string;
  let json: unknown;
  try {
    // A byte order mark stays, and is no JSON.
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw invalid('it is not UTF-8');
  }
  const objection = objectionTo(text);
  if (objection !== undefined) throw invalid(objection);
  try {
    json = JSON.parse(text);
  } catch {
    throw invalid('it is not JSON');
  }
  if (isObject(json)) return json;
  throw invalid('it is not a JSON object');
}

/** Only OCI's own types may leave `mediaType` out. */
function typeOf(json: Json, contentType: string | undefined): string {
  if (contentType === undefined) throw invalid('Content-Type: expected the media type of the manifest');
  const said = essence(contentType);
  if (!KINDS.has(said)) {
    throw invalid(`Content-Type: expected one of ${[...KINDS.keys()].join(', ')}; other contents are artifacts of one`);
  }
  const isOci = said === MediaType.ociManifest || said === MediaType.ociIndex;
  if (json.mediaType === said || (json.mediaType === undefined && isOci)) return said;
  throw invalid(`mediaType: expected ${said} as in Content-Type`);
}

function descriptorsIn(json: Json, key: 'layers' | 'manifests'): ReturnType<typeof descriptor>[] {
  const list = json[key];
  if (list === undefined || list === null) return [];
  if (!Array.isArray(list)) throw invalid(`${key}: expected a list`);
  return list.map((value: unknown, index) => descriptor(value, `${key}[${index}]`));
}

function descriptor(value: unknown, place: string): { readonly digest: Digest; readonly mediaType?: string } {
  const { digest, size, mediaType } = isObject(value) ? value : {};
  const parsed = typeof digest === 'string' ? parseDigest(digest) : undefined;
  if (parsed === undefined) throw invalid(`${place}: expected a descriptor with a sha256 or sha512 digest`);
  if (!Number.isSafeInteger(size) || Number(size) < 0) throw invalid(`${place}: expected a descriptor with a size`);
  return { digest: parsed, ...(typeof mediaType === 'string' && { mediaType }) };
}

/** An image without a type of its own is told by its config. */
function artifactTypeOf({ artifactType, config }: Json): string | undefined {
  if (typeof artifactType === 'string' && artifactType !== '') return artifactType;
  return isObject(config) && typeof config.mediaType === 'string' ? config.mediaType : undefined;
}

function annotationsOf({ annotations }: Json): Readonly<Record<string, string>> | undefined {
  if (annotations === undefined || annotations === null) return undefined;
  const texts = isObject(annotations) && Object.values(annotations).every((value) => typeof value === 'string');
  if (!texts) throw invalid('annotations: expected a map of strings');
  return annotations as Readonly<Record<string, string>>;
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function invalid(message: string): RegistryError {
  return new RegistryError('MANIFEST_INVALID', `this manifest cannot be kept: ${message}`);
}
