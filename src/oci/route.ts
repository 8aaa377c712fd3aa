import { type Digest, isDigestShaped, parseDigest } from './digest.ts';
import { RegistryError } from './error.ts';
import { isRepositoryName, isTag } from './name.ts';

/** A repository as every room below the gateway knows it, whatever door a request came through. */
export interface Repository {
  /** Which tree of the store its content lives in. */
  readonly root: 'cache' | 'hosted';
  /** Namespace of the upstream, such as `docker.io`; empty for hosted repositories. */
  readonly upstream: string;
  /** The name within its upstream, such as `library/nginx`. */
  readonly name: string;
}

/** `docker.io/library/nginx`: the name that is unique within this gateway. */
export function namespaced(repository: Repository): string {
  return repository.upstream === '' ? repository.name : `${repository.upstream}/${repository.name}`;
}

/** The cached repository that {@link namespaced} wrote. */
export function cachedRepository(namespacedName: string): Repository {
  const slash = namespacedName.indexOf('/');
  return { root: 'cache', upstream: namespacedName.slice(0, slash), name: namespacedName.slice(slash + 1) };
}

/** A tag or a digest we can verify. */
export type Reference =
  | { readonly tag: string; readonly digest?: undefined }
  | { readonly digest: Digest; readonly tag?: undefined };

/** The text of a reference, as it stands in a URL. */
export function referenceText(reference: Reference): string {
  return reference.digest ?? reference.tag;
}

/** An endpoint of the distribution-spec ("Endpoints") as its path spells it; `name` is still the door's own spelling. */
export type Endpoint =
  | { readonly kind: 'ping' }
  | { readonly kind: 'token' }
  | { readonly kind: 'catalog' }
  | { readonly kind: 'manifest'; readonly name: string; readonly reference: Reference }
  | { readonly kind: 'blob'; readonly name: string; readonly digest: Digest }
  | { readonly kind: 'upload'; readonly name: string; readonly session?: string }
  | { readonly kind: 'tags'; readonly name: string }
  | { readonly kind: 'referrers'; readonly name: string; readonly digest: Digest }
  | { readonly kind: 'unknown'; readonly name?: string };

/** The endpoint for tokens that the gateway itself issues or relays, on every presented host. */
export const TOKEN_PATH = '/v2/_layover/token';

const FORBIDDEN = /[^\x21-\x7e]|[\\#]|%2f|%2e|%5c|%00/i;

/**
 * Parses the path of a request target (no query) by the grammar of the distribution-spec, on the raw bytes: no URL
 * class has folded `..`, `//` or `%2e` before. Paths outside `/v2` are `unknown`; a path below `/v2` whose shape is
 * an endpoint's but whose name, tag or digest is malformed throws NAME_INVALID, TAG_INVALID or DIGEST_INVALID.
 */
export function parseEndpoint(path: string): Endpoint {
  if (path === '/v2' || path === '/v2/') return { kind: 'ping' };
  if (!path.startsWith('/v2/')) return { kind: 'unknown' };
  if (FORBIDDEN.test(path))
    throw new RegistryError('NAME_INVALID', 'the path contains characters no registry path has');
  if (path === TOKEN_PATH) return { kind: 'token' };
  if (path === '/v2/_catalog') return { kind: 'catalog' };
  const parts = path.slice('/v2/'.length).split('/');
  return (
    parseContent(parts) ??
    parseTail(parts, ['tags', 'list'], (name) => ({ kind: 'tags', name })) ??
    parseUpload(parts) ?? { kind: 'unknown' }
  );
}

function parseContent(parts: readonly string[]): Endpoint | undefined {
  const [family, last = ''] = parts.slice(-2);
  if (parts.length < 3 || (family !== 'manifests' && family !== 'blobs' && family !== 'referrers')) return undefined;
  if (family === 'blobs' && last === 'uploads') return undefined;
  const name = repositoryName(parts.slice(0, -2));
  if (family === 'manifests') return parseManifestReference(name, last);
  const digest = parseDigest(last);
  if (digest !== undefined) return { kind: family === 'blobs' ? 'blob' : 'referrers', name, digest };
  if (isForeignDigest(last)) return { kind: 'unknown', name };
  throw new RegistryError('DIGEST_INVALID', `expected algorithm:hex, got ${quote(last)}`);
}

function parseManifestReference(name: string, text: string): Endpoint {
  const digest = parseDigest(text);
  if (digest !== undefined) return { kind: 'manifest', name, reference: { digest } };
  if (isForeignDigest(text)) return { kind: 'unknown', name };
  if (text.includes(':')) throw new RegistryError('DIGEST_INVALID', `expected algorithm:hex, got ${quote(text)}`);
  if (!isTag(text))
    throw new RegistryError('TAG_INVALID', `expected a tag of up to 128 characters, got ${quote(text)}`);
  return { kind: 'manifest', name, reference: { tag: text } };
}

/** A well-formed digest of an algorithm we cannot verify: passed through, never cached. */
function isForeignDigest(text: string): boolean {
  return isDigestShaped(text) && !text.startsWith('sha256:') && !text.startsWith('sha512:');
}

function parseUpload(parts: readonly string[]): Endpoint | undefined {
  const at = parts.lastIndexOf('uploads');
  if (at < 2 || parts[at - 1] !== 'blobs' || parts.length - at > 2) return undefined;
  const name = repositoryName(parts.slice(0, at - 1));
  const session = parts[at + 1];
  return session === undefined || session === '' ? { kind: 'upload', name } : { kind: 'upload', name, session };
}

function parseTail(
  parts: readonly string[],
  tail: readonly string[],
  make: (name: string) => Endpoint,
): Endpoint | undefined {
  const head = parts.slice(0, -tail.length);
  if (head.length === 0 || parts.slice(-tail.length).join('/') !== tail.join('/')) return undefined;
  return make(repositoryName(head));
}

function repositoryName(parts: readonly string[]): string {
  const name = parts.join('/');
  if (isRepositoryName(name)) return name;
  throw new RegistryError('NAME_INVALID', `expected lower-case path components, got ${quote(name)}`);
}

function quote(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text);
}
