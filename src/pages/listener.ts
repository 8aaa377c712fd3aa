import type { RequestListener } from 'node:http';
import { PAGE_HEADERS, type Pages } from '../gateway/pages.ts';

/** Answers with pages, and leaves everything else to `otherwise`. */
export function withPages(pages: Pages, otherwise: RequestListener): RequestListener {
  return (request, response) => {
    const { method, headers, url = '' } = request;
    const [path = '', query = ''] = url.split('?');
    const make = method === 'GET' || method === 'HEAD' ? pages.get(path) : undefined;
    if (make === undefined) return otherwise(request, response);
    const asked = { origin: originOf(headers.host), query: new URLSearchParams(query), accept: [headers.accept ?? ''] };
    const answer = async (): Promise<void> => {
      const { status = 200, contentType, body, headers: own } = await make(asked);
      const length = Buffer.byteLength(body);
      response.writeHead(status, { ...PAGE_HEADERS, 'Content-Type': contentType, 'Content-Length': length, ...own });
      response.end(method === 'HEAD' ? undefined : body);
    };
    answer().catch(() => response.writeHead(500).end());
  };
}

/** A host that is none stays nobody's. */
function originOf(host = ''): string {
  return /^[\w.[\]:-]+$/.test(host) && URL.canParse(`http://${host}`)
    ? new URL(`http://${host}`).origin
    : 'http://unknown.invalid';
}
