import { RegistryError } from '../oci/error.ts';
import { contentReply } from '../registry/answers.ts';
import { rangesOf } from '../registry/blob.ts';
import type { Exchange, Reply, Route } from '../registry/exchange.ts';
import { type Hosted, SERVED } from './hosted.ts';

/** Pulling blobs (distribution-spec, end-2), whole or in ranges. */
export async function getBlob(
  { content }: Hosted,
  exchange: Exchange,
  { repository, digest }: Route & { kind: 'blob' },
): Promise<Reply> {
  const link = await content.link(repository, digest);
  const object = link && (await content.openBlob(digest));
  if (object === undefined) throw new RegistryError('BLOB_UNKNOWN');
  const answer = { kind: 'content', digest, size: object.size, body: object } as const;
  const handling = { cache: 'hit', why: 'stored' } as const;
  return { ...(await contentReply(exchange, { ...answer, handling }, 0, rangesOf(exchange, digest))), outcome: SERVED };
}
