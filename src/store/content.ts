import { publish } from '../events.ts';
import { algorithmOf, type Digest, digestOf } from '../oci/digest.ts';
import { namespaced, type Repository } from '../oci/route.ts';
import type { Backend, StoredObject } from './backend.ts';
import {
  accessKey,
  blobKey,
  claimKey,
  decodeName,
  encodeName,
  linkKey,
  publicKey,
  tagKey,
  tagsKey,
  upstreamKey,
} from './content-key.ts';
import { KeyedGate } from './gate.ts';
import { parseObject, toJson } from './json.ts';
import { digestOfObject } from './object-digest.ts';
import { RecentRecords } from './recent-records.ts';
import {
  type AccessRecord,
  type Link,
  parseAccessRecord,
  parseLink,
  parsePublic,
  parseTagRecord,
  type TagRecord,
} from './records.ts';

const EMPTY = new Uint8Array();
const MAX_TRIES = 16;
const CONCURRENT_CLAIMS = 16;

/**
 * One tree of content, cached or hosted: bytes shared by digest, and what each repository knows of them. A record
 * that cannot be read counts as absent.
 */
export class Content {
  readonly #backend: Backend;
  readonly #durable: boolean;
  readonly #updates = new KeyedGate();
  readonly #links = new RecentRecords<Link>();

  /** `durable`: links, tags and records survive a power cut, too; blobs always do. */
  constructor(backend: Backend, options: { readonly durable?: boolean } = {}) {
    this.#backend = backend;
    this.#durable = options.durable ?? false;
  }

  /**
   * A blob whose file has another `size` than was said is read as a whole: when its bytes are not its digest's, it is
   * removed, and counts as absent.
   */
  async openBlob(digest: Digest, size?: number): Promise<StoredObject | undefined> {
    const object = await this.#backend.open(blobKey(digest));
    if (object === undefined || size === undefined || object.size === size) return object;
    if ((await digestOfObject(object, algorithmOf(digest))) === digest) return object;
    await object[Symbol.asyncDispose]();
    await this.#dropDamaged(digest);
    return undefined;
  }

  /** All of a small blob; one whose bytes are not its digest's is removed, and counts as absent. */
  async readBlob(digest: Digest, object: StoredObject): Promise<Uint8Array | undefined> {
    const bytes = new Uint8Array(object.size);
    const read = await object.read(bytes, 0).catch(() => undefined);
    if (read === bytes.length && digestOf(bytes, algorithmOf(digest)) === digest) return bytes;
    await this.#dropDamaged(digest);
    return undefined;
  }

  /** Bytes; `undefined` when the blob is not there. */
  async blobSize(digest: Digest): Promise<number | undefined> {
    return (await this.#backend.stat(blobKey(digest)))?.size;
  }

  /** Publishes a local file whose content the caller has verified; the file is gone afterwards. */
  adoptBlob(digest: Digest, path: string): Promise<void> {
    return this.#backend.adopt(blobKey(digest), path);
  }

  /** Verifies and publishes small content; throws when it does not have this digest. */
  async putBlob(digest: Digest, bytes: Uint8Array): Promise<void> {
    const actual = digestOf(bytes, algorithmOf(digest));
    if (actual !== digest) throw new Error(`expected ${digest}, got ${actual}`);
    await this.#backend.put(blobKey(digest), bytes, { condition: { ifAbsent: true }, durable: true });
  }

  removeBlob(digest: Digest): Promise<boolean> {
    return this.#remove(blobKey(digest));
  }

  /** A manifest's link without a media type has lost it in a power cut: it proves membership, but no Content-Type. */
  async link(repository: Repository, digest: Digest): Promise<Link | undefined> {
    const key = linkKey(repository, digest);
    return await this.#links.get(key, () => this.#record(key, parseLink));
  }

  async addLink(repository: Repository, digest: Digest, link: Link = {}): Promise<void> {
    const bytes = link.mediaType === undefined && link.size === undefined ? EMPTY : toJson(link);
    const key = linkKey(repository, digest);
    await this.#put(key, bytes);
    this.#links.forget(key);
  }

  async removeLink(repository: Repository, digest: Digest): Promise<boolean> {
    const key = linkKey(repository, digest);
    const removed = await this.#remove(key);
    this.#links.forget(key);
    return removed;
  }

  /** Notes that a manifest proven for this repository names these digests. */
  async addClaims(repository: Repository, digests: readonly Digest[]): Promise<void> {
    const keys = [...new Set(digests)].map((digest) => claimKey(repository, digest));
    for (let at = 0; at < keys.length; at += CONCURRENT_CLAIMS) {
      await Promise.all(keys.slice(at, at + CONCURRENT_CLAIMS).map((key) => this.#mark(key)));
    }
  }

  async isClaimed(repository: Repository, digest: Digest): Promise<boolean> {
    return (await this.#backend.stat(claimKey(repository, digest))) !== undefined;
  }

  /** Notes that an anonymous request got these bytes from this repository's upstream. */
  async markPublic(digest: Digest, repository: Repository): Promise<void> {
    const name = namespaced(repository);
    if ((await this.publicBy(digest)) !== name) await this.#put(publicKey(digest), toJson({ repository: name }));
  }

  /** The namespaced name of a repository that publicly proved these bytes. */
  publicBy(digest: Digest): Promise<string | undefined> {
    return this.#record(publicKey(digest), parsePublic);
  }

  tag(repository: Repository, tag: string): Promise<TagRecord | undefined> {
    return this.#record(tagKey(repository, tag), parseTagRecord);
  }

  async putTag(repository: Repository, tag: string, record: TagRecord): Promise<void> {
    await this.#put(tagKey(repository, tag), toJson(record));
  }

  /** Replaces a tag's record by what the pure `update` makes of it, losing no update of others; returns the new one. */
  updateTag(
    repository: Repository,
    tag: string,
    update: (record: TagRecord | undefined) => TagRecord,
  ): Promise<TagRecord> {
    return this.#update(tagKey(repository, tag), parseTagRecord, update);
  }

  removeTag(repository: Repository, tag: string): Promise<boolean> {
    return this.#remove(tagKey(repository, tag));
  }

  /** Up to `limit` (1000) tags in byte order that sort after `after`. */
  async listTags(
    repository: Repository,
    options: { readonly after?: string; readonly limit?: number } = {},
  ): Promise<readonly string[]> {
    const prefix = tagsKey(repository);
    const { after, limit = 1000 } = options;
    const start = after === undefined ? {} : { after: prefix + encodeName(after) };
    const keys = await this.#backend.list(prefix, { limit, ...start });
    const tags = await Promise.all(
      keys.map(async (key) => decodeName(key.slice(prefix.length)) ?? (await this.#record(key, parseTagRecord))?.tag),
    );
    return tags.filter((tag) => tag !== undefined);
  }

  access(repository: Repository): Promise<AccessRecord | undefined> {
    return this.#record(accessKey(repository), parseAccessRecord);
  }

  async putAccess(repository: Repository, record: AccessRecord): Promise<void> {
    await this.#put(accessKey(repository), toJson(record));
  }

  /** As {@link updateTag}, for the record of who may read. */
  updateAccess(
    repository: Repository,
    update: (record: AccessRecord | undefined) => AccessRecord,
  ): Promise<AccessRecord> {
    return this.#update(accessKey(repository), parseAccessRecord, update);
  }

  /** What was kept about an upstream as a whole. */
  upstreamRecord(upstream: string): Promise<unknown> {
    return this.#record(upstreamKey(upstream), parseObject);
  }

  /** `record`: a JSON object. */
  async putUpstreamRecord(upstream: string, record: object): Promise<void> {
    await this.#put(upstreamKey(upstream), toJson(record));
  }

  async #record<T>(key: string, parse: (bytes: Uint8Array) => T | undefined): Promise<T | undefined> {
    const found = await this.#backend.get(key);
    return found && readRecord(key, found.bytes, parse);
  }

  async #update<T>(
    key: string,
    parse: (bytes: Uint8Array) => T | undefined,
    update: (record: T | undefined) => T,
  ): Promise<T> {
    return await this.#updates.run(key, async () => {
      for (let tries = 0; tries < MAX_TRIES; tries += 1) {
        const found = await this.#backend.get(key);
        const record = update(found && readRecord(key, found.bytes, parse));
        const condition = found === undefined ? ({ ifAbsent: true } as const) : { ifMatch: found.etag };
        if (await this.#backend.put(key, toJson(record), { condition, durable: this.#durable })) return record;
      }
      throw new Error(`${key} is changed by others all the time`);
    });
  }

  async #dropDamaged(digest: Digest): Promise<void> {
    const message = `the stored ${digest} is damaged: it is dropped, and fetched again when it is asked for`;
    publish('notice', { level: 'error', message });
    await this.removeBlob(digest);
    publish('content', { phase: 'removed', digest });
  }

  async #put(key: string, bytes: Uint8Array): Promise<void> {
    await this.#backend.put(key, bytes, { durable: this.#durable });
  }

  async #mark(key: string): Promise<void> {
    await this.#backend.put(key, EMPTY, { condition: { ifAbsent: true }, durable: this.#durable });
  }

  async #remove(key: string): Promise<boolean> {
    return await this.#backend.remove(key, { durable: this.#durable });
  }
}

function readRecord<T>(key: string, bytes: Uint8Array, parse: (bytes: Uint8Array) => T | undefined): T | undefined {
  const record = parse(bytes);
  if (record === undefined) {
    publish('notice', { level: 'warn', message: 'a damaged record of the store is ignored', fields: { key } });
  }
  return record;
}
