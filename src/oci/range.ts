/** One requested byte range (RFC 9110 §14.1.2): `first-last`, `first-` (no last) or `-suffix`. Inclusive positions. */
export type RangeSpec =
  | { readonly first: number; readonly last?: number; readonly suffix?: undefined }
  | { readonly suffix: number; readonly first?: undefined };

/** A resolved range of a representation: `start` inclusive, `end` exclusive, never empty. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

const MAX_RANGES = 1024;

/**
 * The ranges a Range header asks for, or `undefined` when there is none to honour: no header, another unit, or
 * syntax that RFC 9110 §14.2 lets a server ignore. An inverted range (`500-0`) is kept, so that it ends in a 416 as
 * the distribution-spec's conformance program demands.
 */
export function parseRange(header: string | undefined): readonly RangeSpec[] | undefined {
  const match = header === undefined ? undefined : /^bytes\s*=(.*)$/i.exec(header.trim());
  if (match === undefined || match === null) return undefined;
  const parts = (match[1] ?? '').split(',').map((part) => part.trim());
  const specs: RangeSpec[] = [];
  for (const part of parts) {
    if (part === '') continue;
    const spec = parseSpec(part);
    if (spec === undefined) return undefined;
    specs.push(spec);
  }
  return specs.length === 0 || specs.length > MAX_RANGES ? undefined : specs;
}

function parseSpec(text: string): RangeSpec | undefined {
  const match = /^(\d*)-(\d*)$/.exec(text);
  if (match === null) return undefined;
  const [, first = '', last = ''] = match;
  if (first === '' && last === '') return undefined;
  if (first === '') return { suffix: Number(last) };
  return last === '' ? { first: Number(first) } : { first: Number(first), last: Number(last) };
}

/** The satisfiable ranges within `size` bytes, in the order asked, ends clamped; empty means 416 (RFC 9110 §15.5.17). */
export function resolveRanges(specs: readonly RangeSpec[], size: number): readonly ByteRange[] {
  const ranges: ByteRange[] = [];
  for (const spec of specs) {
    const start = spec.suffix === undefined ? spec.first : Math.max(0, size - spec.suffix);
    const end = spec.suffix === undefined ? Math.min(size, (spec.last ?? size - 1) + 1) : size;
    if (start < end) ranges.push({ start, end });
  }
  return ranges;
}

/** The value of Content-Range for a range of a representation of `size` bytes (RFC 9110 §14.4). */
export function contentRange(range: ByteRange, size: number): string {
  return `bytes ${range.start}-${range.end - 1}/${size}`;
}

/** Reads a Content-Range of a 206; `undefined` when it is malformed or of unknown total size. */
export function parseContentRange(header: string | undefined): (ByteRange & { readonly size: number }) | undefined {
  const match = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(header?.trim() ?? '');
  if (match === null) return undefined;
  const [start, last, size] = [Number(match[1]), Number(match[2]), Number(match[3])];
  return start <= last && last < size && Number.isSafeInteger(size) ? { start, end: last + 1, size } : undefined;
}
