import { type Blob, type Content, fromBytes } from '../content.ts';
import type { Image, StoredManifest } from '../image.ts';

/** Who may read: everybody, or these users, who may push as well. */
export type Access = 'public' | readonly string[];

export class Repository {
  readonly name: string;
  access: Access;
  readonly manifests = new Map<string, StoredManifest>();
  readonly tags = new Map<string, string>();
  readonly blobs = new Map<string, Content>();
  /** Bytes received so far, by upload session. */
  readonly uploads = new Map<string, Buffer[]>();

  constructor(name: string, access: Access) {
    this.name = name;
    this.access = access;
  }

  /** The manifest under a tag or a digest. */
  find(reference: string): StoredManifest | undefined {
    return this.manifests.get(this.tags.get(reference) ?? reference);
  }
}

/** What the upstream holds. */
export class Repositories {
  readonly #all = new Map<string, Repository>();

  get(name: string): Repository | undefined {
    return this.#all.get(name);
  }

  /** The repository of that name, made when there is none yet. */
  open(name: string, access: Access = 'public'): Repository {
    const repository = this.#all.get(name) ?? new Repository(name, access);
    this.#all.set(name, repository);
    return repository;
  }

  names(): string[] {
    return [...this.#all.keys()].sort();
  }

  add(name: string, image: Image, tags: readonly string[] = image.tags): Repository {
    const repository = this.open(name);
    for (const [digest, content] of image.blobs) repository.blobs.set(digest, content);
    for (const manifest of image.manifests) repository.manifests.set(manifest.digest, manifest);
    for (const tag of tags) repository.tags.set(tag, image.digest);
    return repository;
  }

  addBlob(name: string, blob: Blob): void {
    this.open(name).blobs.set(blob.digest, blob.content);
  }

  /** Whether `user` (nobody: `undefined`) may read; writing takes a user. Absent repositories may be made by any user. */
  allows(user: string | undefined, name: string, action: string): boolean {
    const access = this.#all.get(name)?.access;
    if (action !== 'pull')
      return user !== undefined && (access === undefined || access === 'public' || access.includes(user));
    if (access === undefined) return false;
    return access === 'public' || (user !== undefined && access.includes(user));
  }
}

/** A manifest's bytes as content. */
export function manifestContent(manifest: StoredManifest): Content {
  return fromBytes(manifest.bytes);
}
