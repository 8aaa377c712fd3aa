import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Content, digestOf, fromBytes } from '../test/support/content.ts';
import { tar } from '../test/support/tar.ts';
import { seeded } from './blobs.ts';
import type { Certificate, Item, Order, Pace, Tally } from './origin-process.ts';

/** The process of the upstream that every server under test stands in front of: an open registry with blobs inline. */
interface Held {
  readonly content: Content;
  readonly digest: string;
  readonly mediaType: string;
  readonly pace: Pace;
}

const STEP = 256 << 10;
/** By digest and by tag; tags are told apart by name alone, whatever the repository. */
const held = new Map<string, Held>();
/** Of all requests, and of those for one digest. */
const tallies = new Map<string, { -readonly [kind in keyof Tally]: number }>();

process.on('message', async (order: Order) => process.send?.(await obey(order)));
process.once('disconnect', () => process.exit());

async function obey(order: Order): Promise<unknown> {
  switch (order.kind) {
    case 'listen':
      return listen(order.certificate);
    case 'add':
      return add(order.item);
    case 'tally':
      return tallyOf(order.digest);
  }
}

async function listen(certificate: Certificate): Promise<number> {
  const server = createServer({ ...certificate, keepAliveTimeout: 120_000 }, (request, response) => {
    answer(request, response).catch(() => response.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

function add({ mediaType = 'application/octet-stream', tag, pace = {}, ...what }: Item): {
  digest: string;
  size: number;
} {
  const content = contentOf(what);
  const digest = digestOf(content);
  for (const name of [digest, ...(tag === undefined ? [] : [tag])])
    held.set(name, { content, digest, mediaType, pace });
  return { digest, size: content.size };
}

function contentOf(what: Pick<Item, 'text' | 'bytes' | 'file'>): Content {
  if (what.text !== undefined) return fromBytes(what.text);
  const { seed, size } = what.bytes ?? what.file ?? { seed: '', size: 0 };
  return what.file === undefined ? seeded(seed, size) : tar([{ path: seed, content: seeded(seed, size) }]);
}

function tallyOf(digest: string = ''): { -readonly [kind in keyof Tally]: number } {
  const tally = tallies.get(digest) ?? { gets: 0, heads: 0, bytes: 0 };
  tallies.set(digest, tally);
  return tally;
}

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { method, url = '', headers } = request;
  if (url === '/v2/') return void response.end('{}');
  const found = held.get(url.slice(url.lastIndexOf('/') + 1));
  const counted = [tallyOf(), ...(found === undefined ? [] : [tallyOf(found.digest)])];
  for (const tally of counted) tally[method === 'HEAD' ? 'heads' : 'gets']++;
  if (found === undefined) return void response.writeHead(404).end();
  const { content, digest, mediaType, pace } = found;
  if (pace.delay !== undefined) await sleep(pace.delay);
  const range = /^bytes=(\d+)-(\d*)$/.exec(headers.range ?? '');
  const start = Number(range?.[1] ?? 0);
  const end = range?.[2] ? Math.min(content.size, Number(range[2]) + 1) : content.size;
  response.writeHead(range === null ? 200 : 206, {
    'content-type': mediaType,
    'content-length': end - start,
    'docker-content-digest': digest,
    'docker-distribution-api-version': 'registry/2.0',
    'accept-ranges': 'bytes',
    etag: `"${digest}"`,
    ...(range !== null && { 'content-range': `bytes ${start}-${end - 1}/${content.size}` }),
  });
  if (method === 'HEAD') return void response.end();
  const count = (bytes: number): void => {
    for (const tally of counted) tally.bytes += bytes;
  };
  await send(response, { content, start, end, bytesPerSecond: pace.bytesPerSecond }, count);
  response.end();
}

interface Part {
  readonly content: Content;
  readonly start: number;
  readonly end: number;
  readonly bytesPerSecond: number | undefined;
}

async function send(
  response: ServerResponse,
  { content, start, end, bytesPerSecond }: Part,
  count: (bytes: number) => void,
): Promise<void> {
  const started = performance.now();
  const closed = once(response, 'close');
  const step = bytesPerSecond === undefined ? STEP : Math.min(STEP, Math.ceil(bytesPerSecond / 50));
  for (let at = start; at < end && !response.destroyed; ) {
    const piece = content.read(at, Math.min(end, at + step));
    at += piece.length;
    await Promise.race([written(response, piece), closed]);
    count(piece.length);
    const due = bytesPerSecond === undefined ? 0 : ((at - start) / bytesPerSecond) * 1000;
    const early = due - (performance.now() - started);
    if (early > 0) await sleep(early);
  }
}

function written(response: ServerResponse, bytes: Buffer): Promise<void> {
  return new Promise((resolve) => {
    response.write(bytes, () => resolve());
  });
}
