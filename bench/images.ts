import { ACCEPT, type Request } from './connection.ts';
import type { Item, Origin, Pace } from './origin-process.ts';

/** The repository that everything lies in. */
export const REPOSITORY = '/v2/library/bench';

export interface Image {
  readonly tag: string;
  readonly digest: string;
  readonly manifest: Request;
  /** Of the config and the layers. */
  readonly blobs: readonly Request[];
  /** Bytes of all of it. */
  readonly size: number;
}

export interface ImageShape {
  readonly layers: number;
  /** Bytes of one layer's file. */
  readonly size: number;
  readonly pace?: Pace;
}

export function blob(digest: string): Request {
  return { path: `${REPOSITORY}/blobs/${digest}` };
}

export function manifest(reference: string): Request {
  return { path: `${REPOSITORY}/manifests/${reference}` };
}

/** Adds an image that clients can unpack to the upstream; its content is its tag's alone. */
export async function addImage(origin: Origin, tag: string, { layers, size, pace }: ImageShape): Promise<Image> {
  const add = async (item: Item, mediaType: string) => {
    const stored = await origin.add({ ...item, ...(pace !== undefined && { pace }) });
    return { mediaType, ...stored };
  };
  const described: { mediaType: string; digest: string; size: number }[] = [];
  for (let at = 0; at < layers; at++) {
    described.push(await add({ file: { seed: `${tag}-${at}`, size } }, 'application/vnd.docker.image.rootfs.diff.tar'));
  }
  const rootfs = { type: 'layers', diff_ids: described.map(({ digest }) => digest) };
  const text = JSON.stringify({ architecture: 'amd64', os: 'linux', config: { Labels: { tag } }, rootfs });
  const config = await add({ text }, 'application/vnd.docker.container.image.v1+json');
  const body = JSON.stringify({ schemaVersion: 2, mediaType: ACCEPT, config, layers: described });
  const { digest, size: own } = await origin.add({
    text: body,
    mediaType: ACCEPT,
    tag,
    ...(pace !== undefined && { pace }),
  });
  const parts = [config, ...described];
  return {
    tag,
    digest,
    manifest: manifest(tag),
    blobs: parts.map((part) => blob(part.digest)),
    size: parts.reduce((sum, part) => sum + part.size, own),
  };
}
