import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Blob, SeededBlob, textBlob } from './blobs.ts';
import type { Certificate, Content, Order } from './origin-process.ts';

/** The process of the upstream that every server under test stands in front of: an open registry with blobs inline. */
interface Held {
  readonly blob: Blob;
  readonly mediaType: string;
  readonly bytesPerSecond: number | undefined;
  gets: number;
}

const STEP = 256 << 10;
const held = new Map<string, Held>();

process.on('message', async (order: Order) => process.send?.(await obey(order)));
process.once('disconnect', () => process.exit());

async function obey(order: Order): Promise<unknown> {
  switch (order.kind) {
    case 'listen':
      return listen(order.certificate);
    case 'add':
      return add(order.content);
    case 'gets':
      return held.get(order.digest)?.gets ?? 0;
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

function add(content: Content): string {
  const { mediaType, bytesPerSecond } = content;
  const blob = 'text' in content ? textBlob(content.text) : new SeededBlob(content.seed, content.size);
  held.set(blob.digest, { blob, bytesPerSecond, mediaType: mediaType ?? 'application/octet-stream', gets: 0 });
  return blob.digest;
}

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { method, url = '', headers } = request;
  if (url === '/v2/') return void response.end('{}');
  const found = held.get(url.slice(url.lastIndexOf('/') + 1));
  if (found === undefined) return void response.writeHead(404).end();
  const { blob, mediaType, bytesPerSecond } = found;
  const range = /^bytes=(\d+)-(\d*)$/.exec(headers.range ?? '');
  const start = Number(range?.[1] ?? 0);
  const end = range?.[2] ? Math.min(blob.size, Number(range[2]) + 1) : blob.size;
  response.writeHead(range === null ? 200 : 206, {
    'content-type': mediaType,
    'content-length': end - start,
    'docker-content-digest': blob.digest,
    'docker-distribution-api-version': 'registry/2.0',
    'accept-ranges': 'bytes',
    etag: `"${blob.digest}"`,
    ...(range !== null && { 'content-range': `bytes ${start}-${end - 1}/${blob.size}` }),
  });
  if (method === 'HEAD') return void response.end();
  found.gets++;
  await send(response, blob, start, end, bytesPerSecond);
  response.end();
}

async function send(
  response: ServerResponse,
  blob: Blob,
  start: number,
  end: number,
  bytesPerSecond: number | undefined,
): Promise<void> {
  const started = performance.now();
  const closed = once(response, 'close');
  const step = bytesPerSecond === undefined ? STEP : Math.min(STEP, bytesPerSecond / 50);
  for (let at = start; at < end && !response.destroyed; ) {
    const piece = blob.at(at, Math.min(step, end - at));
    at += piece.length;
    await Promise.race([written(response, piece), closed]);
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
