import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Content, toBytes } from '../support/content.ts';
import { blobsOf, type Image, type ManifestJson, makeImage, topOf } from '../support/image.ts';
import type { Pulled } from './clients/client.ts';

/** A blob that a pull of one platform needs. */
export interface SizedBlob {
  readonly digest: string;
  readonly size: number;
}

/** Two platforms with a large layer in common and a small one of their own. */
export function makeAppImage(seed: string, tags: readonly string[]): Image {
  const layers = [{ seed: `${seed} base`, size: 6 * 2 ** 20 }, 700_001];
  return makeImage({ seed, tags, layers, platforms: ['linux/amd64', 'linux/arm64'] });
}

export function blobsFor(image: Image, architecture: string): SizedBlob[] {
  return blobsOf(image, `linux/${architecture}`).map((digest) => ({ digest, size: contentOf(image, digest).size }));
}

/** Throws unless a client holds exactly this image for the platform. */
export function verify(pulled: Pulled, image: Image, architecture: string): void {
  const index = JSON.parse(topOf(image).bytes.toString()) as ManifestJson;
  const child = index.manifests?.find((entry) => entry.platform?.architecture === architecture)?.digest;
  const [config = ''] = blobsOf(image, `linux/${architecture}`);
  const { rootfs } = JSON.parse(toBytes(contentOf(image, config)).toString()) as { rootfs: { diff_ids: string[] } };
  const facts: readonly (readonly [string, unknown, unknown])[] = [
    ['architecture', pulled.architecture, architecture],
    ['config', pulled.config ?? config, config],
    ['layers', pulled.layers.join(' '), rootfs.diff_ids.join(' ')],
    ['manifests', pulled.manifests.filter((digest) => digest !== image.digest && digest !== child).join(' '), ''],
    ['number of manifests', pulled.manifests.length > 0, true],
  ];
  for (const [what, actual, expected] of facts) {
    if (actual !== expected) throw new Error(`pulled image: ${what} is ${actual}, expected ${expected}`);
  }
}

/** Writes an image as an OCI image layout, the form in which skopeo can copy it. */
export async function writeLayout(image: Image, folder: string): Promise<void> {
  const blobs = join(folder, 'blobs/sha256');
  await mkdir(blobs, { recursive: true });
  const named = (digest: string) => join(blobs, digest.slice('sha256:'.length));
  for (const [digest, content] of image.blobs) await writeFile(named(digest), toBytes(content));
  for (const { digest, bytes } of image.manifests) await writeFile(named(digest), bytes);
  const { mediaType, bytes } = topOf(image);
  const manifests = [{ mediaType, digest: image.digest, size: bytes.length }];
  await writeFile(join(folder, 'oci-layout'), JSON.stringify({ imageLayoutVersion: '1.0.0' }));
  await writeFile(join(folder, 'index.json'), JSON.stringify({ schemaVersion: 2, manifests }));
}

function contentOf(image: Image, digest: string): Content {
  const content = image.blobs.get(digest);
  if (content === undefined) throw new Error(`image without its blob ${digest}`);
  return content;
}
