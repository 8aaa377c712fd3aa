import { readdir } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from '../support/client.ts';
import { hostOf, type TestGateway } from '../support/gateway.ts';

export type Door = 'transparent' | 'mirror' | 'path';
export const DOORS: readonly Door[] = ['transparent', 'mirror', 'path'];

/** The URL under which a door shows `rest` (`blobs/<digest>`, `manifests/<tag>`) of a repository. */
export function urlOf(gateway: TestGateway, door: Door, namespace: string, repository: string, rest: string): string {
  switch (door) {
    case 'transparent':
      return `https://${hostOf(namespace)}/v2/${repository}/${rest}`;
    case 'mirror':
      return `${gateway.own}/v2/${repository}/${rest}?ns=${namespace}`;
    case 'path':
      return `${gateway.own}/v2/${namespace}/${repository}/${rest}`;
  }
}

/** The Authorization header that a client of a presented registry gets from its token service. */
export async function bearer(
  client: Client,
  namespace: string,
  repository: string,
  login?: { readonly username: string; readonly password: string },
): Promise<Record<string, string>> {
  const url = new URL(`https://${hostOf(namespace)}/v2/_layover/token`);
  url.searchParams.set('service', 'registry.docker.io');
  url.searchParams.set('scope', `repository:${repository}:pull`);
  const basic = login && Buffer.from(`${login.username}:${login.password}`).toString('base64');
  const answer = await client.request(url, basic === undefined ? {} : { headers: { authorization: `Basic ${basic}` } });
  const { token } = JSON.parse(answer.body.toString()) as { token: string };
  return { authorization: `Bearer ${token}` };
}

/** The files of a gateway's data directory whose name holds `digest`, links left out, sorted. */
export async function onDisk(gateway: TestGateway, digest: string): Promise<string[]> {
  const root = join(gateway.dir, 'data');
  const hex = digest.split(':')[1] ?? '';
  const files = await filesBelow(root);
  const found = files.filter((path) => path.includes(hex) && !/\/_links\/|\/_claims\/|\/public\//.test(path));
  return found.map((path) => relative(root, path)).sort();
}

/** What lies there once the blob and nothing else should: clients have their bytes before these are committed. */
export function settledOnDisk(gateway: TestGateway, digest: string): Promise<string[]> {
  return eventually(
    () => onDisk(gateway, digest),
    (files) => files.join() === blobPath(digest),
    20_000,
  );
}

export async function filesBelow(directory: string): Promise<string[]> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}

/** Where a blob lies once it is committed. */
export function blobPath(digest: string): string {
  const [algorithm = '', hex = ''] = digest.split(':');
  return `cache/blobs/${algorithm}/${hex.slice(0, 2)}/${hex}`;
}

/** Waits for what happens behind a client's back. */
export async function eventually<Value>(
  probe: () => Value | Promise<Value>,
  holds: (value: Awaited<Value>) => boolean,
  timeout = 5000,
): Promise<Awaited<Value>> {
  const end = performance.now() + timeout;
  for (;;) {
    const value = await probe();
    if (holds(value) || performance.now() > end) return value;
    await sleep(10);
  }
}
