import type { CacheResult } from '../events.ts';
import type { Entry, Unreadable } from './entry.ts';

const FORM =
  /^(\S+) "(\d\d)\/([A-Z][a-z]{2})\/(\d{4}):(\d\d):(\d\d):(\d\d) ([+-]\d\d)(\d\d)" \S+ "([^"]*)" (\d{3}) (\d{1,15}) "[^"]*" "[^"]*" subpath:(\S+) ([A-Z]+|-)\r?$/;
const CONTENT = /^\/v2\/(.+)\/(?:manifests|blobs|tags|referrers)\/([^/]+)$/;
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

/** The words of nginx's `$upstream_cache_status`. Two of them only nginx itself writes: `EXPIRED` and `UPDATING`. */
const RESULTS: ReadonlyMap<string, CacheResult> = new Map([
  ['HIT', 'hit'],
  ['REVALIDATED', 'revalidated'],
  ['STALE', 'stale'],
  ['UPDATING', 'stale'],
  ['MISS', 'miss'],
  ['EXPIRED', 'miss'],
  ['BYPASS', 'bypass'],
  ['-', 'none'],
]);

/** Reads a line of `log.access.format: nginx`, whichever of the two programs wrote it. */
export function readNginxLine(line: string): Entry | Unreadable {
  const match = FORM.exec(line);
  if (match === null) return 'in no format of ours';
  const [, client = '', day, month = '', year, hour, minute, second, zoneHours = '', zoneMinutes, ...rest] = match;
  const [request = '', status, bytes, alias = '', result = ''] = rest;
  const cache = RESULTS.get(result);
  const local = Date.UTC(
    Number(year),
    MONTHS.indexOf(month),
    Number(day),
    Number(hour),
    Number(minute),
    Number(second),
  );
  if (cache === undefined || !MONTHS.includes(month)) return 'in no format of ours';
  const ahead = Number(zoneHours) * 60 + (zoneHours.startsWith('-') ? -1 : 1) * Number(zoneMinutes);
  const upstream = alias === '-' ? undefined : alias;
  const [method = '', target = ''] = request.split(' ');
  return {
    time: local - ahead * 60_000,
    client,
    method,
    upstream,
    ...contentOf(target, upstream),
    status: Number(status),
    cache,
    why: undefined,
    bytes: Number(bytes),
    firstByte: undefined,
    total: undefined,
  };
}

/** By path, the namespace stands in front of the repository already. */
function contentOf(target: string, upstream: string | undefined): Pick<Entry, 'image' | 'reference'> {
  const [, name, reference] = CONTENT.exec(target.split('?', 1)[0] ?? '') ?? [];
  if (name === undefined) return { image: undefined, reference: undefined };
  const isWhole = upstream === undefined || name.startsWith(`${upstream}/`);
  return { image: isWhole ? name : `${upstream}/${name}`, reference };
}
