import type { ServerResponse } from 'node:http';
import type { Reply } from '../registry/exchange.ts';
import { cacheStatus } from './cache-status.ts';
import { type Answering, releaseBody, sendBody } from './send.ts';

/**
 * Writes a reply to its end and releases its body. Rejects when the body fails: before the head was sent nothing has
 * gone out, afterwards the caller must {@link cutShort}.
 */
export async function writeReply(response: ServerResponse, reply: Reply, exchange: Answering): Promise<void> {
  const { body } = reply;
  const head = (): void => {
    exchange.begun();
    response.writeHead(reply.status, headerLines(reply, exchange.api));
  };
  if (body === undefined || exchange.method === 'HEAD' || reply.status === 204 || reply.status === 304) {
    head();
    response.end();
    await releaseBody(body);
    return;
  }
  await sendBody({ response, head, exchange }, body);
}

/**
 * Ends a connection with bytes of the answer missing, by a FIN after what was already written: a client that is told
 * so resumes where it stopped, one that is reset may give up.
 */
export function cutShort(response: ServerResponse): void {
  response.socket?.end();
}

/** The head as one flat array, which Node takes without sorting it into an object first. */
function headerLines({ headers, body, outcome }: Reply, api: boolean): string[] {
  const lines: string[] = [];
  const names = new Set<string>();
  for (const [name, value] of Object.entries(headers)) {
    names.add(name.toLowerCase());
    if (typeof value === 'string') lines.push(name, value);
    else for (const line of value) lines.push(name, line);
  }
  if (!names.has('content-length') && body?.kind === 'bytes') lines.push('Content-Length', String(body.bytes.length));
  if (api && !names.has('docker-distribution-api-version')) {
    lines.push('Docker-Distribution-API-Version', 'registry/2.0');
  }
  if (outcome.cache === 'stale' && !names.has('warning'))
    lines.push('Warning', '299 - "served from cache, may be stale"');
  lines.push('Cache-Status', cacheStatus(outcome));
  return lines;
}
