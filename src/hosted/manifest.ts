import { publish } from '../events.ts';
import { algorithmOf, type Digest, digestOf } from '../oci/digest.ts';
import { RegistryError } from '../oci/error.ts';
import { isTag } from '../oci/name.ts';
import type { Repository } from '../oci/route.ts';
import { contentReply } from '../registry/answers.ts';
import { asOf, unknownAt } from '../registry/as-of.ts';
import type { Exchange, Reply, RequestBody, Route } from '../registry/exchange.ts';
import { digestAt, entryOf, type TagEntry, type TagRecord, withTag } from '../store/records.ts';
import { type Accepted, acceptManifest, MAX_MANIFEST } from './acceptance.ts';
import { type Hosted, kept, PUSHED, SERVED } from './hosted.ts';

type ManifestRoute = Route & { kind: 'manifest' };

/** A tag of ours means one thing, whatever a client accepts. */
export const CLASS = '*';
const MAX_TAGS = 100;
const CONCURRENT = 16;

/** Pulling manifests (distribution-spec, end-3), by tag and by digest. */
export async function getManifest(hosted: Hosted, exchange: Exchange, route: ManifestRoute): Promise<Reply> {
  const { repository, reference } = route;
  const { content } = hosted;
  const digest = reference.digest ?? (await meant(hosted, route, reference.tag));
  const link = digest && (await content.link(repository, digest));
  // What was pushed as a blob is no manifest.
  if (digest === undefined || link?.mediaType === undefined) throw new RegistryError('MANIFEST_UNKNOWN');
  const body = await readManifest(hosted, digest);
  const handling = { cache: 'hit', why: 'stored' } as const;
  const answer = { kind: 'content', digest, size: body.length, mediaType: link.mediaType, body, handling } as const;
  return { ...(await contentReply(exchange, answer, 0)), outcome: SERVED };
}

/** What a tag of ours means, or meant at the time that is asked for. */
async function meant({ content }: Hosted, route: ManifestRoute, tag: string): Promise<Digest | undefined> {
  const record = await content.tag(route.repository, tag);
  const time = asOf(route.query);
  if (time === undefined) return meaningOf(record);
  const digest = digestAt(record, time, CLASS);
  if (digest === undefined) throw unknownAt(route.repository, route.reference, time);
  return digest;
}

/** What a tag of ours means. */
export function meaningOf(record: TagRecord | undefined): Digest | undefined {
  return entryOf(record, CLASS)?.digest;
}

/** Pushing manifests (distribution-spec, end-7): the bytes as they are, when everything they name is there. */
export async function putManifest(hosted: Hosted, exchange: Exchange, route: ManifestRoute): Promise<Reply> {
  const { repository, reference } = route;
  const tags = tagsOf(route);
  const bytes = await readAll(exchange.upload);
  const accepted = acceptManifest(bytes, exchange.headers.contentType);
  const digest = digestOf(bytes, reference.digest === undefined ? 'sha256' : algorithmOf(reference.digest));
  if (reference.digest !== undefined && reference.digest !== digest) {
    throw new RegistryError('DIGEST_INVALID', `expected ${reference.digest}, got ${digest}`);
  }
  await assertThere(hosted, repository, accepted.references);
  await kept(keep(hosted, repository, digest, bytes, accepted));
  const entry = { digest, mediaType: accepted.mediaType, size: bytes.length };
  for (const tag of tags) await kept(pointTo(hosted, repository, tag, entry, exchange.caller.login?.user));
  const headers = {
    Location: `/v2/${repository.name}/manifests/${digest}`,
    'Docker-Content-Digest': digest,
    'Content-Length': '0',
    ...(accepted.subject !== undefined && { 'OCI-Subject': accepted.subject }),
    ...(reference.digest !== undefined && tags.length > 0 && { 'OCI-Tag': tags }),
  };
  return { status: 201, headers, outcome: PUSHED };
}

/** The tags that a push sets: the one of its path, or those of its query beside a digest. */
function tagsOf({ reference, query }: ManifestRoute): readonly string[] {
  if (reference.tag !== undefined) return [reference.tag];
  const tags = [...new Set(new URLSearchParams(query).getAll('tag'))];
  const expected = tags.every(isTag) ? `${MAX_TAGS} tags at the most` : 'a tag of up to 128 characters';
  if (tags.length > MAX_TAGS || !tags.every(isTag)) {
    throw new RegistryError('TAG_INVALID', `tag: expected ${expected}`, { status: 400 });
  }
  return tags;
}

async function readAll(body: RequestBody | undefined): Promise<Uint8Array> {
  const tooLarge = (): RegistryError =>
    new RegistryError('SIZE_INVALID', `a manifest has ${MAX_MANIFEST} bytes at the most`, { status: 413 });
  if ((body?.length ?? 0) > MAX_MANIFEST) throw tooLarge();
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of body ?? []) {
    length += chunk.length;
    if (length > MAX_MANIFEST) throw tooLarge();
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

async function assertThere({ content }: Hosted, repository: Repository, digests: readonly Digest[]): Promise<void> {
  for (let at = 0; at < digests.length; at += CONCURRENT) {
    const some = digests.slice(at, at + CONCURRENT);
    const links = await Promise.all(some.map((digest) => content.link(repository, digest)));
    const missing = some.filter((_, index) => links[index] === undefined);
    if (missing.length === 0) continue;
    const message = `push ${missing.join(', ')} to ${repository.name} first`;
    throw new RegistryError('MANIFEST_BLOB_UNKNOWN', message, { status: 400, detail: { digest: missing[0] } });
  }
}

/** Everything but its tags, each durable before the next; the list of referrers names only what is there. */
async function keep(
  { content, catalog, referrers }: Hosted,
  repository: Repository,
  digest: Digest,
  bytes: Uint8Array,
  { mediaType, subject, artifactType, annotations }: Accepted,
): Promise<void> {
  const size = bytes.length;
  await content.putBlob(digest, bytes);
  await content.addLink(repository, digest, { mediaType, size });
  await catalog.add(repository.name);
  if (subject === undefined) return;
  const shown = { ...(artifactType !== undefined && { artifactType }), ...(annotations && { annotations }) };
  await referrers.add(repository, subject, { mediaType, digest, size, ...shown });
}

async function pointTo(
  { content, now }: Hosted,
  repository: Repository,
  tag: string,
  meaning: Omit<TagEntry, 'checkedAt'>,
  by: string | undefined,
): Promise<void> {
  const entry = { ...meaning, checkedAt: now() };
  await content.updateTag(repository, tag, (record) => withTag(record, tag, CLASS, entry, by));
}

/** Nobody else has what is hosted: damaged bytes are neither served nor dropped. */
export async function readManifest({ content }: Hosted, digest: Digest): Promise<Uint8Array> {
  await using object = await content.openBlob(digest);
  if (object === undefined) throw new RegistryError('MANIFEST_UNKNOWN');
  const bytes = new Uint8Array(object.size);
  const read = await object.read(bytes, 0);
  if (read === bytes.length && digestOf(bytes, algorithmOf(digest)) === digest) return bytes;
  publish('notice', { level: 'error', message: `the hosted manifest ${digest} is damaged on disk: restore it` });
  throw new RegistryError('UNKNOWN', `${digest} is damaged in this registry`);
}
