import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import type { ContentEvent } from '../../src/events.ts';
import { childrenOf, type Inventory } from '../../src/index/inventory.ts';
import { type Digest, digestOf } from '../../src/oci/digest.ts';
import { MediaType } from '../../src/oci/media-type.ts';
import { cachedRepository } from '../../src/oci/route.ts';
import { Content } from '../../src/store/content.ts';
import { FileBackend } from '../../src/store/file-backend.ts';
import { withTag } from '../../src/store/records.ts';
import { directoryOf } from '../store/directory.ts';

/** A cache's files as the gateway writes them, with the events that it publishes meanwhile. */
export class CacheFiles {
  readonly directory: string;
  readonly backend: FileBackend;
  readonly content: Content;
  readonly events: ContentEvent[] = [];

  constructor(directory: string) {
    this.directory = directory;
    this.backend = new FileBackend(directory);
    this.content = new Content(this.backend);
  }

  static make(t: ExecutionContext): { readonly root: string; readonly files: CacheFiles } {
    const root = directoryOf(t);
    return { root, files: new CacheFiles(join(root, 'cache')) };
  }

  async blob(repository: string, bytes: Uint8Array): Promise<Digest> {
    const digest = digestOf(bytes);
    await this.content.putBlob(digest, bytes);
    await this.content.addLink(cachedRepository(repository), digest);
    this.events.push({ phase: 'stored', digest, repository, size: bytes.length });
    return digest;
  }

  /** A manifest that names `children`; with a tag where one is given. */
  async manifest(repository: string, children: readonly Digest[], tag?: string): Promise<Digest> {
    const layers = children.map((digest) => ({ digest, size: 1, mediaType: MediaType.octetStream }));
    const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, layers, repository, tag }));
    const digest = digestOf(bytes);
    const mediaType = MediaType.ociManifest;
    const where = cachedRepository(repository);
    await this.content.putBlob(digest, bytes);
    await this.content.addLink(where, digest, { mediaType });
    await this.content.addClaims(where, children);
    const entry = { digest, mediaType, size: bytes.length, checkedAt: Date.now() };
    if (tag !== undefined) await this.content.updateTag(where, tag, (record) => withTag(record, tag, 'M', entry));
    this.events.push({ phase: 'stored', digest, repository, size: bytes.length, children });
    return digest;
  }

  async remove(digest: Digest): Promise<void> {
    await this.content.removeBlob(digest);
    this.events.push({ phase: 'removed', digest });
  }
}

/** What an inventory says of each digest, without times. */
export function described(inventory: Inventory, digests: readonly Digest[]): Record<string, object> {
  return Object.fromEntries(
    digests.map((digest, position) => [
      digest,
      {
        size: inventory.sizes[position],
        isManifest: inventory.manifests[position] === 1,
        children: [...childrenOf(inventory, position)].map((child) => digests[child]).sort(),
      },
    ]),
  );
}
