import { type Answer, type Exchange, failure, json } from './exchange.ts';
import type { Repository } from './repositories.ts';

/** tags/list, in byte order, with the next page named by a Link header. */
export function answerTags(exchange: Exchange, repository: Repository): Answer {
  if (exchange.target.reference !== 'list') return failure(404, 'NOT_FOUND', 'page not found');
  const { items, headers } = page(exchange, [...repository.tags.keys()].sort());
  return json(200, { name: repository.name, tags: items }, headers);
}

export function answerCatalog(exchange: Exchange): Answer {
  const { profile, site } = exchange;
  if (profile.catalog === 'refused') return failure(401, 'UNAUTHORIZED', 'authentication required');
  if (profile.catalog === 'absent') return failure(404, 'NOT_FOUND', 'page not found');
  const open = site.repositories.names().filter((name) => site.repositories.allows(undefined, name, 'pull'));
  const { items, headers } = page(exchange, open);
  return json(200, { repositories: items }, headers);
}

/** quay names a page by an opaque token, all others by the last item of the page before. */
function page(
  exchange: Exchange,
  all: readonly string[],
): { items: readonly string[]; headers: Record<string, string> } {
  const { profile, query, path, site, role } = exchange;
  const cursor = profile.paging === 'absolute' ? 'next_page' : 'last';
  const given = query.get(cursor);
  const after = cursor === 'next_page' && given !== null ? Buffer.from(given, 'base64url').toString() : given;
  const rest = after === null ? all : all.filter((item) => item > after);
  const n = query.get('n');
  if (n === null || profile.paging === 'none') return { items: rest, headers: {} };
  const items = rest.slice(0, Number(n));
  const last = items.at(-1);
  if (last === undefined || items.length === rest.length) return { items, headers: {} };
  const value = cursor === 'next_page' ? Buffer.from(last).toString('base64url') : encodeURIComponent(last);
  const origin = profile.paging === 'absolute' ? site.url(role) : '';
  return { items, headers: { link: `<${origin}${path}?n=${n}&${cursor}=${value}>; rel="next"` } };
}
