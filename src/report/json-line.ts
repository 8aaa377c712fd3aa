import type { CacheResult } from '../events.ts';
import type { Entry, Unreadable } from './entry.ts';

const RESULTS: ReadonlySet<string> = new Set<CacheResult>([
  'hit',
  'revalidated',
  'stale',
  'miss',
  'collapsed',
  'bypass',
  'none',
]);

/** Reads a line of `log.access.format: json`. */
export function readJsonLine(line: string): Entry | Unreadable {
  let value: Readonly<Record<string, unknown>>;
  try {
    value = JSON.parse(line);
  } catch {
    return 'damaged JSON';
  }
  const { client, cache, why } = value;
  const [time, status, bytes] = [Date.parse(String(value.time)), amount(value.status), amount(value.bytes)];
  if (typeof client !== 'string' || !isResult(cache) || Number.isNaN(time)) return 'JSON of something else';
  if (status === undefined || bytes === undefined) return 'JSON of something else';
  const upstream = text(value.upstream);
  const repository = text(value.repository);
  return {
    time,
    client,
    method: text(value.method) ?? '',
    upstream,
    image: repository === undefined ? undefined : upstream === undefined ? repository : `${upstream}/${repository}`,
    reference: text(value.reference),
    status,
    cache,
    why: text(why),
    bytes,
    firstByte: amount(value.firstByte),
    total: amount(value.total),
  };
}

const isResult = (value: unknown): value is CacheResult => typeof value === 'string' && RESULTS.has(value);

const text = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined);

const amount = (value: unknown): number | undefined =>
  typeof value === 'number' && value >= 0 && Number.isFinite(value) ? value : undefined;
