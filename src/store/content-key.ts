import { createHash } from 'node:crypto';
import { algorithmOf, type Digest, encodedOf, parseDigest } from '../oci/digest.ts';
import { isRepositoryName, isTag } from '../oci/name.ts';
import type { Repository } from '../oci/route.ts';

const MAX_COMPONENT = 255;
const HASH_MARK = '^^';
/** Even, so that no escaped letter is cut in two. */
const HASHED_PREFIX = 160;
const UPSTREAM = /^[a-z0-9][a-z0-9._:-]{0,120}$/i;

/** `sha256/ab/<hex>`, spread over 256 directories; throws for anything but a canonical digest. */
function spread(digest: Digest): string {
  const [algorithm, hex] = partsOf(digest);
  return `${algorithm}/${hex.slice(0, 2)}/${hex}`;
}

function partsOf(digest: Digest): [algorithm: string, hex: string] {
  if (parseDigest(digest) === undefined) throw new Error('not a canonical digest');
  return [algorithmOf(digest), encodedOf(digest)];
}

export function blobKey(digest: Digest): string {
  return `blobs/${spread(digest)}`;
}

export function publicKey(digest: Digest): string {
  return `public/${spread(digest)}`;
}

export function linkKey(repository: Repository, digest: Digest): string {
  return `${repositoryKey(repository)}/_links/${partsOf(digest).join('/')}`;
}

export function claimKey(repository: Repository, digest: Digest): string {
  return `${repositoryKey(repository)}/_claims/${partsOf(digest).join('/')}`;
}

/** Where the records are of what refers to `subject` in a repository; ends in a slash. */
export function referrersKey(repository: Repository, subject: Digest): string {
  return `${repositoryKey(repository)}/_referrers/${partsOf(subject).join('/')}/`;
}

/** Where a repository's tags are; ends in a slash. */
export function tagsKey(repository: Repository): string {
  return `${repositoryKey(repository)}/_tags/`;
}

export function tagKey(repository: Repository, tag: string): string {
  if (!isTag(tag)) throw new Error('not a tag');
  return tagsKey(repository) + encodeName(tag);
}

export function accessKey(repository: Repository): string {
  return `${repositoryKey(repository)}/_access`;
}

export function upstreamKey(upstream: string): string {
  return `repositories/${upstreamComponent(upstream)}/_ping`;
}

/** No component of a repository's name begins with `_`, so its own records never collide with a longer name's. */
function repositoryKey({ upstream, name }: Repository): string {
  if (!isRepositoryName(name)) throw new Error('not a repository name');
  return upstream === '' ? `repositories/${name}` : `repositories/${upstreamComponent(upstream)}/${name}`;
}

function upstreamComponent(upstream: string): string {
  if (!UPSTREAM.test(upstream)) throw new Error('not the name of an upstream');
  return encodeName(upstream);
}

/**
 * A file name that differs from others in more than case (macOS, Windows): `A` becomes `^a`. Byte order is kept,
 * because `^` sorts where the capitals did among the characters of tags. Names that get too long end in a hash.
 */
export function encodeName(name: string): string {
  const encoded = name.replace(/[A-Z]/g, (letter) => `^${letter.toLowerCase()}`);
  if (encoded.length <= MAX_COMPONENT) return encoded;
  return encoded.slice(0, HASHED_PREFIX) + HASH_MARK + createHash('sha256').update(name).digest('hex');
}

/** The name that {@link encodeName} encoded; `undefined` when only a hash of it is there. */
export function decodeName(encoded: string): string | undefined {
  if (encoded.includes(HASH_MARK)) return undefined;
  return encoded.replace(/\^([a-z])/g, (_, letter: string) => letter.toUpperCase());
}
