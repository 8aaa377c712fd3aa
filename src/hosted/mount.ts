import type { ContentAnswer } from '../cache/answer.ts';
import { algorithmOf, type Digest } from '../oci/digest.ts';
import type { Repository } from '../oci/route.ts';
import type { Exchange } from '../registry/exchange.ts';
import { removeFile } from '../store/disk.ts';
import type { Hosted } from './hosted.ts';
import type { Session } from './sessions.ts';

const BLOCK = 512 << 10;

/**
 * Makes a blob part of `repository` that is here already: hosted in `from`, or anywhere when that is undefined, or
 * cached and open to this caller. `false`: it has to be uploaded.
 */
export async function mount(
  hosted: Hosted,
  exchange: Exchange,
  repository: Repository,
  digest: Digest,
  from: Repository | undefined,
): Promise<boolean> {
  const { content } = hosted;
  const size = await content.blobSize(digest);
  const source = from ?? (await holderOf(hosted, digest));
  if (size !== undefined && source?.root === 'hosted' && (await content.link(source, digest)) !== undefined) {
    await join(hosted, repository, digest, size);
    return true;
  }
  if (from?.root === 'hosted') return false;
  const lent = await hosted.lend(exchange, digest, from);
  return lent !== undefined && (await copy(hosted, exchange, repository, lent));
}

/** Publishes a session's bytes, which are verified, as a blob of `repository`; everything is durable when it resolves. */
export async function publishBlob(
  hosted: Hosted,
  session: Session,
  repository: Repository,
  digest: Digest,
): Promise<void> {
  const { content } = hosted;
  const { size } = session;
  await session.finish(async (path) => {
    try {
      await content.adoptBlob(digest, path);
    } finally {
      await removeFile(path);
    }
  });
  await join(hosted, repository, digest, size);
  if ((await holderOf(hosted, digest)) === undefined) await content.markPublic(digest, repository);
}

/** What is linked already stays as it is: a manifest that is pushed as a blob, too, goes on being one. */
async function join({ content }: Hosted, repository: Repository, digest: Digest, size: number): Promise<void> {
  if ((await content.link(repository, digest)) === undefined) await content.addLink(repository, digest, { size });
}

/** A hosted repository that has this blob, as far as one is noted. */
async function holderOf({ content }: Hosted, digest: Digest): Promise<Repository | undefined> {
  const name = await content.publicBy(digest);
  const holder = name === undefined ? undefined : ({ root: 'hosted', upstream: '', name } as const);
  return holder && (await content.link(holder, digest)) && holder;
}

/** Verified on the way: what the cache had, this registry will have for good. */
async function copy(
  hosted: Hosted,
  { signal }: Exchange,
  repository: Repository,
  lent: ContentAnswer,
): Promise<boolean> {
  const { digest, size, body } = lent;
  await using session = await hosted.sessions.alone(repository.name, algorithmOf(digest));
  try {
    if (body instanceof Uint8Array) await session.append(body);
    else if (body !== undefined) {
      await using source = body;
      const buffer = Buffer.allocUnsafe(BLOCK);
      while (session.size < size) {
        const read = await source.read(buffer, session.size, signal);
        if (read === 0) break;
        await session.append(buffer.subarray(0, read));
      }
    }
  } catch (error) {
    await session.discard();
    throw error;
  }
  const isRight = (await session.digest(algorithmOf(digest))) === digest;
  await (isRight ? publishBlob(hosted, session, repository, digest) : session.discard());
  return isRight;
}
