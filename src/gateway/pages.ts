import type { Reply } from '../registry/exchange.ts';

/** What a page may know of the request for it. */
export interface PageRequest {
  /** `http[s]://host[:port]`, as the client spoke to us. */
  readonly origin: string;
  readonly query: URLSearchParams;
  /** The lines of its Accept field. */
  readonly accept: readonly string[];
}

export interface Page {
  /** 200 unless it says otherwise. */
  readonly status?: number;
  readonly contentType: string;
  readonly body: string | Uint8Array;
  /** Beside those that every page has, or instead of them. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** Makes a page as it is now; for HEAD too. */
export type PageMaker = (request: PageRequest) => Page | Promise<Page>;

/** The pages of our own names by their paths, such as `/`. */
export type Pages = ReadonlyMap<string, PageMaker>;

/** Pages load nothing from elsewhere, run no script that stands in them, and are shown in no frame. */
const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; " +
  "form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/** Beside its own, of every page. */
export const PAGE_HEADERS = {
  'Content-Security-Policy': POLICY,
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'no-referrer',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Cache-Control': 'no-store',
};

export async function pageReply(page: PageMaker | undefined, request: PageRequest): Promise<Reply> {
  if (page === undefined) throw new Error('routing knows a page that is not there');
  const { status = 200, contentType, body, headers } = await page(request);
  return {
    status,
    headers: { 'Content-Type': contentType, ...PAGE_HEADERS, ...headers },
    body: { kind: 'bytes', bytes: typeof body === 'string' ? Buffer.from(body) : body },
    outcome: { cache: 'none', why: 'page' },
  };
}
