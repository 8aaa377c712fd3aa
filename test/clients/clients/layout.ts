import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Pulled } from './client.ts';

interface Descriptor {
  readonly digest: string;
}

interface Manifest {
  readonly config: Descriptor;
  readonly layers: readonly Descriptor[];
}

interface ImageConfig {
  readonly architecture: string;
  readonly rootfs: { readonly diff_ids: readonly string[] };
}

/** Reads the only image of an OCI image layout and checks every file against the digest it is named by. */
export async function readLayout(folder: string): Promise<Pulled> {
  const { manifests } = JSON.parse(await readFile(join(folder, 'index.json'), 'utf8')) as {
    readonly manifests: readonly Descriptor[];
  };
  const [top] = manifests;
  if (top === undefined || manifests.length > 1) throw new Error(`${folder} has ${manifests.length} images`);
  const blobs = join(folder, 'blobs/sha256');
  const files = new Map<string, Buffer>();
  for (const name of await readdir(blobs)) {
    const bytes = await readFile(join(blobs, name));
    if (createHash('sha256').update(bytes).digest('hex') !== name) throw new Error(`blob ${name} has other bytes`);
    files.set(`sha256:${name}`, bytes);
  }
  const named = ({ digest }: Descriptor): Buffer => {
    const bytes = files.get(digest);
    if (bytes === undefined) throw new Error(`${folder} has no ${digest}`);
    return bytes;
  };
  const manifest = JSON.parse(named(top).toString()) as Manifest;
  manifest.layers.forEach(named);
  const config = JSON.parse(named(manifest.config).toString()) as ImageConfig;
  const layers = config.rootfs.diff_ids;
  return { manifests: [top.digest], config: manifest.config.digest, layers, architecture: config.architecture };
}
