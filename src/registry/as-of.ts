import { RegistryError } from '../oci/error.ts';
import { namespaced, type Reference, type Repository } from '../oci/route.ts';
import type { Exchange } from './exchange.ts';
import { askingOf, type Registry } from './registry.ts';

/** A day, or an instant, of RFC 3339. */
const TIME = /^\d{4}-\d\d-\d\d(?:[Tt]\d\d:\d\d:\d\d(?:\.\d+)?(?:[Zz]|[+-]\d\d:\d\d))?$/;

/** The time of which `as-of` in a query speaks (epoch milliseconds); `undefined` without one. */
export function asOf(query: string | undefined): number | undefined {
  const text = new URLSearchParams(query).get('as-of')?.replace(' ', '+');
  if (text === undefined) return undefined;
  const time = TIME.test(text) ? Date.parse(text.toUpperCase()) : Number.NaN;
  if (!Number.isNaN(time)) return time;
  throw new RegistryError('TAG_INVALID', 'as-of: expected a time such as 2026-11-01T00:00:00Z', { status: 400 });
}

/** A question for what a tag meant at a time of the past, put as one for the digest that it had then. */
export async function inThePast(registry: Registry, exchange: Exchange): Promise<Exchange> {
  const { route } = exchange;
  if (route.kind !== 'manifest' || route.query === undefined || route.reference.tag === undefined) return exchange;
  const time = asOf(route.query);
  if (time === undefined) return exchange;
  const { repository, reference } = route;
  const asking = { ...askingOf(exchange, repository), accept: exchange.headers.accept };
  const digest = await registry.cache.tagAt(asking, reference.tag, time);
  if (digest === undefined) throw unknownAt(repository, reference, time);
  return { ...exchange, route: { kind: 'manifest', repository, reference: { digest } } };
}

export function unknownAt(repository: Repository, { tag }: Reference, time: number): RegistryError {
  const what = `${namespaced(repository)}:${tag}`;
  return new RegistryError('MANIFEST_UNKNOWN', `it is not known what ${what} was at ${new Date(time).toISOString()}`);
}
