import type { Digest } from '../oci/digest.ts';
import { RegistryError } from '../oci/error.ts';
import type { Repository } from '../oci/route.ts';
import type { Reply, Route } from '../registry/exchange.ts';
import { acceptManifest } from './acceptance.ts';
import { type Hosted, kept, PUSHED } from './hosted.ts';
import { meaningOf, readManifest } from './manifest.ts';

const TAGS_AT_ONCE = 64;

/** Deleting a tag, or a manifest with the tags that mean it (distribution-spec, end-9). */
export async function deleteManifest(
  hosted: Hosted,
  { repository, reference }: Route & { kind: 'manifest' },
): Promise<Reply> {
  assertAllowed(hosted, repository);
  const { content } = hosted;
  if (reference.tag !== undefined) {
    if (!(await kept(content.removeTag(repository, reference.tag)))) throw new RegistryError('MANIFEST_UNKNOWN');
    return DELETED;
  }
  const link = await content.link(repository, reference.digest);
  if (link?.mediaType === undefined) throw new RegistryError('MANIFEST_UNKNOWN');
  await kept(forget(hosted, repository, reference.digest, link.mediaType));
  return DELETED;
}

/** Deleting a blob from a repository (distribution-spec, end-10); manifests that name it stay. */
export async function deleteBlob(hosted: Hosted, { repository, digest }: Route & { kind: 'blob' }): Promise<Reply> {
  assertAllowed(hosted, repository);
  const link = await hosted.content.link(repository, digest);
  if (link === undefined) throw new RegistryError('BLOB_UNKNOWN');
  if (link.mediaType !== undefined) throw new RegistryError('UNSUPPORTED', `${digest} is a manifest: delete it as one`);
  await kept(hosted.content.removeLink(repository, digest));
  return DELETED;
}

const DELETED: Reply = { status: 202, headers: { 'Content-Length': '0' }, outcome: PUSHED };

function assertAllowed({ mayDelete }: Hosted, repository: Repository): void {
  if (mayDelete(repository.name)) return;
  const message = `nothing may be deleted in ${repository.name}: to allow it, add a pattern to hosted.delete`;
  throw new RegistryError('UNSUPPORTED', message);
}

/** What leads to it first, and it last: after a crash in between it can be deleted again. */
async function forget(hosted: Hosted, repository: Repository, digest: Digest, mediaType: string): Promise<void> {
  const { content, referrers } = hosted;
  for (let after: string | undefined; ; ) {
    const tags = await content.listTags(repository, { limit: TAGS_AT_ONCE, ...(after !== undefined && { after }) });
    await Promise.all(
      tags.map(async (tag) => {
        const meant = meaningOf(await content.tag(repository, tag));
        if (meant === digest) await content.removeTag(repository, tag);
      }),
    );
    after = tags.at(-1);
    if (tags.length < TAGS_AT_ONCE) break;
  }
  const subject = await subjectOf(hosted, digest, mediaType);
  if (subject !== undefined) await referrers.remove(repository, subject, digest);
  await content.removeLink(repository, digest);
}

/** Bytes that are lost or damaged name no subject any more; the record of them is left out of lists by nobody. */
async function subjectOf(hosted: Hosted, digest: Digest, mediaType: string): Promise<Digest | undefined> {
  const bytes = await readManifest(hosted, digest).catch((error: unknown) => {
    if (error instanceof RegistryError) return undefined;
    throw error;
  });
  return bytes && acceptManifest(bytes, mediaType).subject;
}
