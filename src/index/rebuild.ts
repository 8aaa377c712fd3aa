import { type Digest, parseDigest } from '../oci/digest.ts';
import { parseManifest } from '../oci/manifest.ts';
import type { Backend } from '../store/backend.ts';
import { blobKey, decodeName } from '../store/content-key.ts';
import { parseTagRecord } from '../store/records.ts';
import type { Database, FoundBlob, FoundLink } from './database.ts';

/** How many keys are listed at a time: more than a directory of blobs holds, since each listing reads one again. */
const PAGE = 8192;
/** How many files are looked at at the same time. */
const WIDTH = 8;
const STEP = 512;
/** Larger files are never manifests (bytes). */
const MAX_MANIFEST = 16 << 20;

/**
 * Fills the index from the files: blobs with their times, links and tags, and what manifests name. `pause` is called
 * after every step with the milliseconds that it took, and may reject to end the walk.
 */
export async function rebuild(
  backend: Backend,
  database: Database,
  pause: (worked: number) => Promise<void>,
): Promise<void> {
  const walk = database.beginWalk();
  await inSteps(keysBelow(backend, 'blobs/'), pause, async (keys) => {
    database.addBlobs(await each(keys, (key) => findBlob(backend, key)), walk);
  });
  await inSteps(keysBelow(backend, 'repositories/'), pause, async (keys) => {
    const found = await each(keys, (key) => findLinks(backend, key));
    database.addLinks(found.flat());
  });
  await inSteps(unread(database), pause, async (manifests) => {
    const read = async (digest: Digest): Promise<readonly [Digest, readonly Digest[] | undefined]> => [
      digest,
      await readChildren(backend, digest),
    ];
    database.addChildren(await each(manifests, read));
  });
  database.endWalk(walk);
}

/** The repository of a key below `repositories/`, namespaced, with what follows it. */
export function repositoryOf(key: string): { readonly name: string; readonly rest: readonly string[] } | undefined {
  const parts = key.split('/').slice(1);
  const end = parts.findIndex((part) => part.startsWith('_'));
  const upstream = decodeName(parts[0] ?? '');
  if (end < 2 || upstream === undefined) return undefined;
  return { name: [upstream, ...parts.slice(1, end)].join('/'), rest: parts.slice(end) };
}

/** The digest that ends a key: its algorithm, and its hex perhaps behind two letters of it. */
export function digestOfKey(parts: readonly string[]): Digest | undefined {
  const [algorithm, hex] = parts.length === 3 ? [parts[0], parts[2]] : parts;
  return parseDigest(`${algorithm}:${hex}`);
}

/** All keys that begin with `prefix`, a page at a time. */
export async function* keysBelow(backend: Backend, prefix: string): AsyncGenerator<readonly string[]> {
  for (let after = ''; ; ) {
    const keys = await backend.list(prefix, { after, limit: PAGE });
    yield keys;
    const last = keys.at(-1);
    if (last === undefined || keys.length < PAGE) return;
    after = last;
  }
}

async function* unread(database: Database): AsyncGenerator<readonly Digest[]> {
  for (let page = database.unread(STEP); page.length > 0; page = database.unread(STEP)) yield page;
}

async function inSteps<Item>(
  pages: AsyncIterable<readonly Item[]>,
  pause: (worked: number) => Promise<void>,
  step: (items: readonly Item[]) => Promise<void>,
): Promise<void> {
  let begun = performance.now();
  for await (const page of pages) {
    for (let from = 0; from < page.length; from += STEP) {
      await step(page.slice(from, from + STEP));
      await pause(performance.now() - begun);
      begun = performance.now();
    }
  }
}

/** What `find` finds for each item, a few at a time; nothing for those that went away meanwhile. */
export async function each<Item, Found>(
  items: readonly Item[],
  find: (item: Item) => Promise<Found | undefined>,
): Promise<readonly Found[]> {
  const found: (Found | undefined)[] = new Array(items.length);
  const entries = items.entries();
  const worker = async (): Promise<void> => {
    for (const [index, item] of entries) found[index] = await find(item);
  };
  await Promise.all(Array.from({ length: WIDTH }, worker));
  return found.filter((one) => one !== undefined);
}

async function findBlob(backend: Backend, key: string): Promise<FoundBlob | undefined> {
  const digest = digestOfKey(key.split('/').slice(1));
  const stat = digest && (await backend.stat(key));
  return digest && stat && { digest, size: stat.size, modified: stat.modified.getTime() };
}

async function findLinks(backend: Backend, key: string): Promise<readonly FoundLink[]> {
  const { name: repository = '', rest: [family, ...rest] = [] } = repositoryOf(key) ?? {};
  if (family === '_links') {
    const digest = digestOfKey(rest);
    // Links of manifests hold their media type, those of blobs nothing.
    const size = digest && (await backend.stat(key))?.size;
    return digest === undefined || size === undefined ? [] : [{ repository, digest, isManifest: size > 0 }];
  }
  const bytes = family === '_tags' ? (await backend.get(key))?.bytes : undefined;
  const classes = Object.values((bytes && parseTagRecord(bytes)?.classes) ?? {});
  return classes.map(({ digest }) => ({ repository, digest, isManifest: true }));
}

/** What a manifest names; `undefined` when the bytes are none. */
async function readChildren(backend: Backend, digest: Digest): Promise<readonly Digest[] | undefined> {
  await using object = await backend.open(blobKey(digest));
  if (object === undefined || object.size > MAX_MANIFEST) return undefined;
  const bytes = new Uint8Array(object.size);
  await object.read(bytes, 0);
  return parseManifest(bytes)?.children.map((child) => child.digest);
}
