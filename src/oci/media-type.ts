/** Media types of the OCI image-spec and Docker's Image Manifest V2 that the gateway tells apart. */
export const MediaType = {
  ociManifest: 'application/vnd.oci.image.manifest.v1+json',
  ociIndex: 'application/vnd.oci.image.index.v1+json',
  dockerManifest: 'application/vnd.docker.distribution.manifest.v2+json',
  dockerList: 'application/vnd.docker.distribution.manifest.list.v2+json',
  schema1: 'application/vnd.docker.distribution.manifest.v1+json',
  schema1Signed: 'application/vnd.docker.distribution.manifest.v1+prettyjws',
  octetStream: 'application/octet-stream',
} as const;

/** The manifest types of today, as the Accept list of requests that the gateway makes for itself. */
export const MODERN_ACCEPT: readonly string[] = [
  MediaType.ociIndex,
  MediaType.ociManifest,
  MediaType.dockerList,
  MediaType.dockerManifest,
];

/** Whether manifests of this type name other manifests: an index, or a list of Docker's. */
export function isIndex(mediaType: string | undefined): boolean {
  return mediaType === MediaType.ociIndex || mediaType === MediaType.dockerList;
}

/** Schema 1's digest does not cover its signatures, so its bytes can never be verified: it is never cached. */
export function isSchema1(mediaType: string): boolean {
  return mediaType === MediaType.schema1 || mediaType === MediaType.schema1Signed || mediaType === 'text/plain';
}

/** The media type without parameters, lower case: what a registry must put on a manifest (distribution-spec, "Pulling manifests"). */
export function essence(contentType: string): string {
  return (contentType.split(';', 1)[0] ?? '').trim().toLowerCase();
}

const CLASS_LETTERS = new Map<string, string>([
  [MediaType.ociIndex, 'I'],
  [MediaType.ociManifest, 'M'],
  [MediaType.dockerList, 'l'],
  [MediaType.dockerManifest, 'm'],
  [MediaType.schema1, '1'],
  [MediaType.schema1Signed, 's'],
  ['application/json', 'j'],
  ['application/*', '*'],
  ['*/*', '*'],
]);

/**
 * What of a request's Accept lines decides which manifest a registry answers with: one letter for each type
 * known, sorted. Clients send the same set in any order, on one line or many (quay, GAR and old Hub repositories
 * answer one tag with different manifests).
 */
export function acceptClass(accept: readonly string[]): string {
  const letters = new Set<string>();
  for (const type of acceptTypes(accept)) {
    const letter = CLASS_LETTERS.get(type);
    if (letter !== undefined) letters.add(letter);
  }
  return letters.size === 0 ? '-' : [...letters].sort().join('');
}

/** The distinct media types of Accept lines, in order of appearance, without weights. */
export function acceptTypes(accept: readonly string[]): string[] {
  const types = accept.flatMap((line) => line.split(',')).map(essence);
  return [...new Set(types.filter((type) => type !== ''))];
}
