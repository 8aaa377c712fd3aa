import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pieces } from '../test/support/content.ts';
import { seeded } from './blobs.ts';
import { ACCEPT, type Request } from './connection.ts';
import { blob, manifest, REPOSITORY } from './images.ts';
import type { Origin, Stored } from './origin-process.ts';

/** Requests for content that every server has, or gets by being asked once. */
export interface WarmContent {
  readonly layers: readonly Request[];
  readonly smallLayers: readonly Request[];
  readonly tinyBlobs: readonly Request[];
  readonly manifest: Request;
}

/** Puts it into the origin, and as files below `root` for the server that fetches nothing. */
export async function addWarmContent(origin: Origin, root: string): Promise<WarmContent> {
  for (const folder of ['blobs', 'manifests']) await mkdir(join(root, REPOSITORY, folder), { recursive: true });
  const blobs = async (kind: string, count: number, size: number): Promise<Stored[]> => {
    const all: Stored[] = [];
    for (let at = 0; at < count; at++) {
      const bytes = { seed: `${kind} ${at}`, size };
      const stored = await origin.add({ bytes });
      await writeFile(join(root, blob(stored.digest).path), pieces(seeded(bytes.seed, size)));
      all.push(stored);
    }
    return all;
  };
  const layers = await blobs('layer', 8, 64 << 20);
  const smallLayers = await blobs('small layer', 64, 1 << 20);
  const tinyBlobs = await blobs('tiny blob', 32, 4 << 10);
  const text = manifestText(tinyBlobs, [...layers, ...smallLayers].slice(0, 12));
  const { digest } = await origin.add({ text, mediaType: ACCEPT });
  await writeFile(join(root, manifest(digest).path), text);
  const asked = (stored: readonly Stored[]): Request[] => stored.map((one) => blob(one.digest));
  return {
    layers: asked(layers),
    smallLayers: asked(smallLayers),
    tinyBlobs: asked(tinyBlobs),
    manifest: manifest(digest),
  };
}

function manifestText([config]: readonly Stored[], layers: readonly Stored[]): string {
  const described = (mediaType: string) => (stored: Stored | undefined) => ({ mediaType, ...stored });
  return JSON.stringify({
    schemaVersion: 2,
    mediaType: ACCEPT,
    config: described('application/vnd.docker.container.image.v1+json')(config),
    layers: layers.map(described('application/vnd.docker.image.rootfs.diff.tar.gzip')),
  });
}
