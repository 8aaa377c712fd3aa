import { createHash } from 'node:crypto';
import { readdir, stat } from 'node:fs/promises';
import http from 'node:http';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { MediaType } from '../../src/oci/media-type.ts';
import { TestGateway } from '../support/gateway.ts';
import type { FakeUpstream } from '../support/upstream/upstream.ts';

/** A gateway to which anyone may push below `team/` and as `myapp`. */
export function startHosting(upstreams: readonly FakeUpstream[] = [], hosted: object = {}): Promise<TestGateway> {
  return TestGateway.start({
    upstreams,
    config: { hosted: { repositories: ['team/**', 'myapp'], push: 'anyone', ...hosted } },
  });
}

export function digestOf(bytes: Uint8Array | string, algorithm: 'sha256' | 'sha512' = 'sha256'): string {
  return `${algorithm}:${createHash(algorithm).update(bytes).digest('hex')}`;
}

export interface Sent {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: Buffer;
}

/** Sends a request on a connection of its own; a list of chunks goes without a length. */
export function send(
  origin: string,
  method: string,
  path: string,
  options: {
    readonly body?: Uint8Array | string | readonly Uint8Array[];
    readonly headers?: Readonly<Record<string, string>>;
  } = {},
): Promise<Sent> {
  const { body, headers = {} } = options;
  return new Promise((resolve, reject) => {
    const request = http.request(new URL(path, origin), { method, headers, agent: false }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks) }),
      );
    });
    request.on('error', reject);
    if (Array.isArray(body)) {
      for (const chunk of body) request.write(chunk);
      request.end();
    } else request.end(body);
  });
}

/** Begins a request whose body never ends by itself; `cut` breaks the connection off. */
export function begin(
  origin: string,
  method: string,
  path: string,
  first: Uint8Array,
  headers: Readonly<Record<string, string>> = {},
): { readonly cut: () => void; readonly write: (bytes: Uint8Array) => void } {
  const request = http.request(new URL(path, origin), { method, headers, agent: false });
  request.on('error', () => undefined);
  request.write(first);
  return { cut: () => request.destroy(), write: (bytes) => request.write(bytes) };
}

/** The `code` of an answer's error document. */
export function codeOf({ body }: Sent): string | undefined {
  return (JSON.parse(body.toString()) as { errors?: { code: string }[] }).errors?.[0]?.code;
}

/** Begins an upload and returns its location. */
export async function beginUpload(origin: string, repository: string, query = ''): Promise<string> {
  const { status, headers } = await send(origin, 'POST', `/v2/${repository}/blobs/uploads/${query}`);
  if (status !== 202 || headers.location === undefined) throw new Error(`an upload was answered ${status}`);
  return headers.location;
}

/** Pushes a blob in one request and returns its digest. */
export async function pushBlob(origin: string, repository: string, bytes: Uint8Array | string): Promise<string> {
  const digest = digestOf(bytes);
  const sent = await send(origin, 'POST', `/v2/${repository}/blobs/uploads/?digest=${digest}`, { body: bytes });
  if (sent.status !== 201) throw new Error(`a blob was answered ${sent.status} ${sent.body}`);
  return digest;
}

/** Pushes a manifest; `reference` may have a query behind it. */
export function pushManifest(
  origin: string,
  repository: string,
  reference: string,
  body: string,
  mediaType: string = MediaType.ociManifest,
): Promise<Sent> {
  const headers = { 'content-type': mediaType };
  return send(origin, 'PUT', `/v2/${repository}/manifests/${reference}`, { body, headers });
}

export const EMPTY_CONFIG = 'application/vnd.oci.empty.v1+json';

/** Pushes a manifest without layers that only `more` tells from others, and returns its digest: by tag, or by digest with a query. */
export async function pushArtifact(
  origin: string,
  repository: string,
  reference: string,
  more: object = {},
): Promise<string> {
  const digest = await pushBlob(origin, repository, '{}');
  const config = { mediaType: EMPTY_CONFIG, digest, size: 2 };
  const manifest = JSON.stringify({ schemaVersion: 2, mediaType: MediaType.ociManifest, config, layers: [], ...more });
  const isTag = reference !== '' && !reference.startsWith('?');
  const to = isTag ? reference : `${digestOf(manifest)}${reference}`;
  const pushed = await pushManifest(origin, repository, to, manifest);
  if (pushed.status !== 201) throw new Error(`${pushed.status} ${pushed.body}`);
  return digestOf(manifest);
}

/** Every file below `data/<part>` of a gateway, by its path, with its size. */
export async function filesIn(gateway: { readonly dir: string }, part: string): Promise<Record<string, number>> {
  const root = join(gateway.dir, 'data', part);
  const names = await readdir(root, { recursive: true, withFileTypes: true }).catch(() => []);
  const files = names.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  const sizes = await Promise.all(files.map(async (path) => (await stat(path).catch(() => undefined))?.size));
  const found = files.map((path, index) => [path.slice(root.length + 1), sizes[index]] as const);
  return Object.fromEntries(found.flatMap(([path, size]) => (size === undefined ? [] : [[path, size]])));
}

/** Waits until `found` gives something other than nothing, for twenty seconds at the most. */
export async function eventually<Value>(found: () => Promise<Value>): Promise<Value> {
  for (const end = performance.now() + 20_000; performance.now() < end; await sleep(10)) {
    const value = await found();
    if (value) return value;
  }
  throw new Error('it did not come to pass');
}
