import type { Digest } from '../oci/digest.ts';
import { parseDigest } from '../oci/digest.ts';
import { RegistryError } from '../oci/error.ts';
import { MediaType } from '../oci/media-type.ts';
import { MAX_PAGE, nextLink, type Page, pageOf, parsePage } from '../oci/paging.ts';
import type { Reply, Route } from '../registry/exchange.ts';
import { type Hosted, SERVED } from './hosted.ts';
import type { Referrer } from './referrers.ts';

/** Bytes of a list of referrers, which brings the annotations of each. */
const MAX_LIST = 4 << 20;

/** Tags in byte order (distribution-spec, end-8). */
export async function listTags(hosted: Hosted, { repository, query }: Route & { kind: 'tags' }): Promise<Reply> {
  const { name } = repository;
  const page = parsePage(query);
  if (!(await hosted.catalog.has(name))) throw new RegistryError('NAME_UNKNOWN', `nothing was pushed to ${name} yet`);
  const found = page.limit === 0 ? [] : await hosted.content.listTags(repository, { ...page, limit: page.limit + 1 });
  return listed('tags', page, found, `/v2/${name}/tags/list`, { name });
}

/** Up to `limit` names in byte order that sort after `after`. */
export type Names = (limit: number, after: string | undefined) => Promise<readonly string[]>;

/** Repositories to which an image was pushed, and `others`, in byte order (distribution's `_catalog`). */
export async function listRepositories(
  { catalog }: Hosted,
  { query }: Route & { kind: 'catalog' },
  others: Names,
): Promise<Reply> {
  const page = parsePage(query);
  const limit = page.limit === 0 ? 0 : page.limit + 1;
  const [own, more] = await Promise.all([catalog.list(limit, page.after), others(limit, page.after)]);
  const found = [...new Set([...own, ...more])].sort().slice(0, limit);
  return listed('repositories', page, found, '/v2/_catalog', {});
}

/** What refers to a digest as its subject (distribution-spec, end-12); nothing is an empty list. */
export async function listReferrers(
  { referrers }: Hosted,
  { repository, digest, query }: Route & { kind: 'referrers' },
): Promise<Reply> {
  const fields = new URLSearchParams(query);
  const type = fields.get('artifactType');
  const after = parseDigest(fields.get('last') ?? '');
  const manifests: Referrer[] = [];
  let [size, count, last]: [number, number, Digest | undefined] = [0, 0, undefined];
  let isLast = true;
  for await (const { referrer, bytes } of referrers.list(repository, digest, after)) {
    isLast = count === 0 || (count < MAX_PAGE && size + bytes <= MAX_LIST);
    if (!isLast) break;
    [count, last] = [count + 1, referrer.digest];
    if (type !== null && referrer.artifactType !== type) continue;
    size += bytes;
    manifests.push(referrer);
  }
  const filter = type === null ? {} : { artifactType: type };
  const path = `/v2/${repository.name}/referrers/${digest}`;
  return json(
    { schemaVersion: 2, mediaType: MediaType.ociIndex, manifests },
    {
      'Content-Type': MediaType.ociIndex,
      ...(type !== null && { 'OCI-Filters-Applied': 'artifactType' }),
      ...(!isLast && last !== undefined && { Link: nextLink(path, { ...filter, last }) }),
    },
  );
}

function listed(key: 'tags' | 'repositories', page: Page, found: readonly string[], path: string, more: object): Reply {
  const { entries, isLast } = pageOf(page, found);
  const link = isLast ? {} : { Link: nextLink(path, { n: String(page.limit), last: entries.at(-1) ?? '' }) };
  return json({ ...more, [key]: entries }, { 'Content-Type': 'application/json', ...link });
}

function json(value: object, headers: Readonly<Record<string, string>>): Reply {
  const bytes = Buffer.from(JSON.stringify(value));
  return {
    status: 200,
    headers: { ...headers, 'Content-Length': String(bytes.length) },
    body: { kind: 'bytes', bytes },
    outcome: SERVED,
  };
}
