import { RegistryError } from './error.ts';

/** Entries of a list at the most, asked for or not. */
export const MAX_PAGE = 10_000;

/** Which part of a list is asked for. */
export interface Page {
  readonly limit: number;
  /** The last entry that the client has. */
  readonly after?: string;
}

/** `n` and `last` of a list (distribution-spec, "Listing tags"). */
export function parsePage(query: string): Page {
  const fields = new URLSearchParams(query);
  const [n, last] = [fields.get('n'), fields.get('last')];
  if (n !== null && !/^\d{1,9}$/.test(n)) {
    throw new RegistryError('PAGINATION_NUMBER_INVALID', 'n: expected how many entries, such as 100');
  }
  const limit = n === null ? MAX_PAGE : Math.min(Number(n), MAX_PAGE);
  return { limit, ...(last !== null && last !== '' && { after: last }) };
}

/** One page of a list of which one entry more than asked for was looked up, and whether there is a next one. */
export function pageOf(
  { limit }: Page,
  found: readonly string[],
): { readonly entries: readonly string[]; readonly isLast: boolean } {
  return { entries: found.slice(0, limit), isLast: limit === 0 || found.length <= limit };
}

/** The Link to the next page (RFC 8288), of a path that does not depend on how the client called us. */
export function nextLink(path: string, fields: Readonly<Record<string, string>>): string {
  return `<${path}?${new URLSearchParams(fields)}>; rel="next"`;
}
