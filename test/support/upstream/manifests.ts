import { createHash } from 'node:crypto';
import { buffer } from 'node:stream/consumers';
import { digestOf, fromBytes } from '../content.ts';
import { type ManifestJson, type StoredManifest, TYPES } from '../image.ts';
import { type Answer, type Exchange, failure, json } from './exchange.ts';
import { manifestContent, type Repository } from './repositories.ts';

const INDEXES: readonly string[] = [TYPES.ociIndex, TYPES.dockerList];
const OCI: readonly string[] = [TYPES.ociIndex, TYPES.ociManifest];

/** GET and HEAD of a manifest, with what this registry makes of the Accept header. */
export function answerManifest(exchange: Exchange, repository: Repository): Answer {
  const { profile, target, method, request, site } = exchange;
  const stored = repository.find(target.reference);
  if (stored === undefined) return failure(404, 'MANIFEST_UNKNOWN', `manifest unknown: ${target.reference}`);
  const accepted = acceptedTypes(request.headers.accept);
  if (
    profile.accept === 'index-must-be-listed' &&
    OCI.includes(stored.mediaType) &&
    !accepted.includes(stored.mediaType)
  ) {
    const what = INDEXES.includes(stored.mediaType) ? 'index' : 'manifest';
    const plural = what === 'index' ? 'indexes' : 'manifests';
    return failure(404, 'MANIFEST_UNKNOWN', `OCI ${what} found, but Accept header does not support OCI ${plural}`);
  }
  if (profile.countsPulls && method === 'GET' && site.pullsLeft-- <= 0) {
    return failure(429, 'TOOMANYREQUESTS', 'You have reached your pull rate limit.', pullHeaders(exchange));
  }
  const byTag = target.reference !== stored.digest;
  const manifest = profile.accept === 'rewrites' && byTag ? rewritten(repository, stored, accepted) : stored;
  return {
    status: 200,
    headers: {
      'content-type': manifest.mediaType,
      'docker-content-digest': manifest.digest,
      etag: `"${manifest.digest}"`,
      ...(profile.countsPulls && pullHeaders(exchange)),
    },
    content: manifestContent(manifest),
  };
}

function pullHeaders({ site }: Exchange): Record<string, string> {
  return {
    'ratelimit-limit': '100;w=21600',
    'ratelimit-remaining': `${Math.max(0, Math.min(site.pullsLeft, 100))};w=21600`,
    'docker-ratelimit-source': '192.0.2.1',
  };
}

function acceptedTypes(accept: string | undefined): string[] {
  return (accept ?? '').split(',').map((type) => (type.split(';')[0] ?? '').trim());
}

/** What an old client gets instead of an index: the manifest for linux/amd64, or a schema 1 one; other digests both. */
function rewritten(repository: Repository, stored: StoredManifest, accepted: readonly string[]): StoredManifest {
  if (accepted.includes(stored.mediaType) || accepted.includes('*/*')) return stored;
  const { manifests = [] } = JSON.parse(stored.bytes.toString()) as ManifestJson;
  const child = repository.manifests.get(
    manifests.find((entry) => entry.platform?.architecture === 'amd64')?.digest ?? '',
  );
  if (child !== undefined && accepted.includes(child.mediaType)) return child;
  const bytes = Buffer.from(
    JSON.stringify({
      schemaVersion: 1,
      name: repository.name,
      tag: 'latest',
      fsLayers: [],
      history: [],
      signatures: [],
    }),
  );
  return { digest: digestOf(fromBytes(`payload of ${stored.digest}`)), mediaType: TYPES.schema1Signed, bytes };
}

/** PUT of a manifest under a tag or its digest. */
export async function putManifest(exchange: Exchange, repository: Repository): Promise<Answer> {
  const { target, profile, request } = exchange;
  const bytes = await buffer(request);
  const [algorithm = 'sha256'] = target.reference.includes(':') ? target.reference.split(':') : [];
  const digest = `${algorithm}:${createHash(algorithm).update(bytes).digest('hex')}`;
  if (target.reference.includes(':') && target.reference !== digest) {
    return failure(400, 'DIGEST_INVALID', 'provided digest did not match uploaded content');
  }
  repository.manifests.set(digest, { digest, mediaType: request.headers['content-type'] ?? '', bytes });
  if (!target.reference.includes(':')) repository.tags.set(target.reference, digest);
  const { subject } = JSON.parse(bytes.toString()) as ManifestJson;
  return {
    status: 201,
    headers: {
      location: `/v2/${repository.name}/manifests/${digest}`,
      'docker-content-digest': digest,
      ...(subject !== undefined && profile.referrers === 'api' && { 'oci-subject': subject.digest }),
    },
  };
}

/** DELETE of a tag, or of a manifest and its tags. */
export function deleteManifest({ target }: Exchange, repository: Repository): Answer {
  const known = repository.tags.delete(target.reference) || repository.manifests.delete(target.reference);
  if (!known) return failure(404, 'MANIFEST_UNKNOWN', 'manifest unknown');
  for (const [tag, digest] of repository.tags) if (digest === target.reference) repository.tags.delete(tag);
  return { status: 202 };
}

/** The referrers API: an index of the manifests whose subject is the digest asked for, empty when there is none. */
export function answerReferrers(exchange: Exchange, repository: Repository): Answer {
  const { profile, target, query } = exchange;
  if (profile.referrers === 'absent') return failure(404, 'NOT_FOUND', 'page not found');
  if (profile.referrers === 'login-page') {
    return { status: 302, headers: { location: '/ServiceLogin', 'content-type': 'text/html; charset=utf-8' } };
  }
  const type = query.get('artifactType');
  const manifests = [...repository.manifests.values()].flatMap(({ digest, mediaType, bytes }) => {
    const { subject, artifactType, config, annotations } = JSON.parse(bytes.toString()) as ManifestJson;
    const of = artifactType ?? config?.mediaType;
    if (subject?.digest !== target.reference || (type !== null && of !== type)) return [];
    return [{ mediaType, digest, size: bytes.length, artifactType: of, annotations }];
  });
  return json(
    200,
    { schemaVersion: 2, mediaType: TYPES.ociIndex, manifests },
    { 'content-type': TYPES.ociIndex, ...(type !== null && { 'oci-filters-applied': 'artifactType' }) },
  );
}
