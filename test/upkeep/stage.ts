import { lstatSync, readdirSync } from 'node:fs';
import { utimes } from 'node:fs/promises';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { type ContentEvent, type Events, publish, subscribe } from '../../src/events.ts';
import { ContentIndex } from '../../src/index/content-index.ts';
import { type Digest, digestOf } from '../../src/oci/digest.ts';
import { FileClaims } from '../../src/store/file-claims.ts';
import type { SpaceState } from '../../src/store/space.ts';
import { Spool } from '../../src/store/spool.ts';
import { Eviction } from '../../src/upkeep/eviction.ts';
import { Parked } from '../../src/upkeep/parked.ts';
import { CacheFiles } from '../index/files.ts';
import { eventually } from '../pull/doors.ts';

/** What a layer of a test takes on disk. */
export const LAYER = 64 << 10;

export interface StageOptions {
  /** Bytes; what lies in blobs/ and in the spool counts. */
  readonly limit: number;
  readonly low?: number;
  readonly keep?: readonly string[];
  /** Whether there is an index; without one, the files' times decide. */
  readonly indexed?: boolean;
}

/** Eviction over real files, with an account that is measured whenever it is asked for. */
export class Stage {
  readonly files: CacheFiles;
  readonly spool: Spool;
  readonly index: ContentIndex;
  readonly eviction: Eviction;
  readonly claims: FileClaims;
  readonly options: StageOptions;
  readonly forgotten: Digest[] = [];
  readonly notices: string[] = [];
  readonly evictions: Events['eviction'][] = [];
  trusted = true;
  recounts = 0;

  private constructor(t: ExecutionContext, options: StageOptions) {
    const { root, files } = CacheFiles.make(t);
    this.options = options;
    this.files = files;
    this.spool = new Spool(join(root, 'spool'));
    this.index = new ContentIndex(join(root, 'index'), files.directory);
    this.claims = new FileClaims(join(root, 'claims'));
    const { claims } = this;
    const parked = new Parked(this.spool, claims);
    const { content, backend } = files;
    const space = { state: () => this.state() };
    const recount = async (): Promise<void> => {
      this.recounts += 1;
      this.trusted = true;
    };
    const forget = (digest: Digest): void => {
      this.forgotten.push(digest);
    };
    this.eviction = new Eviction(
      { content, backend, index: this.index, parked, claims, space, recount, forget },
      () => ({
        low: options.low ?? 0.5,
        keep: options.keep ?? [],
      }),
    );
    t.teardown(subscribe('notice', ({ message }) => this.notices.push(message)));
    t.teardown(subscribe('eviction', (event) => this.evictions.push(event)));
    t.teardown(() => parked.close());
    t.teardown(() => this.index[Symbol.asyncDispose]());
  }

  static async set(t: ExecutionContext, options: StageOptions): Promise<Stage> {
    const stage = new Stage(t, options);
    if (options.indexed ?? true) {
      stage.index.start();
      await eventually(
        () => stage.index.state,
        (state) => state === 'ready',
        20_000,
      );
    }
    return stage;
  }

  state(): SpaceState {
    const used = measured(join(this.files.directory, 'blobs')) + measured(join(this.files.directory, '..', 'spool'));
    return { used, reserved: 0, limit: this.options.limit, trusted: this.trusted };
  }

  /** A layer of {@link LAYER} bytes, the same for the same seed. */
  layer(repository: string, seed: string): Promise<Digest> {
    return this.files.blob(repository, Buffer.alloc(LAYER, seed));
  }

  async image(repository: string, tag: string, layers: readonly string[]): Promise<Digest> {
    const digests: Digest[] = [];
    for (const seed of layers) digests.push(await this.layer(repository, seed));
    return await this.files.manifest(repository, digests, tag);
  }

  /** A partial download of {@link LAYER} bytes that was last written to so many seconds ago. */
  async park(seed: string, age: number): Promise<void> {
    const digest = digestOf(Buffer.from(seed));
    const file = await this.spool.open(digest);
    await file.write(Buffer.alloc(LAYER, seed), 0);
    await file.checkpoint();
    await file.close();
    const path = join(this.files.directory, '..', 'spool', `${digest.replace(':', '-')}.part`);
    await utimes(path, Date.now() / 1000 - age, Date.now() / 1000 - age);
  }

  /** Lets the index hear of what was stored, and of these uses, in this order. */
  tell(...used: readonly Digest[]): void {
    for (const event of this.files.events.splice(0)) publish('content', event);
    for (const digest of used) publish('content', { phase: 'used', digest } satisfies ContentEvent);
  }

  async has(...digests: readonly Digest[]): Promise<boolean[]> {
    return Promise.all(digests.map(async (digest) => (await this.files.content.blobSize(digest)) !== undefined));
  }
}

function measured(directory: string): number {
  try {
    const entries = readdirSync(directory, { recursive: true, withFileTypes: true });
    const files = entries.filter((entry) => entry.isFile());
    return files.reduce((sum, { parentPath, name }) => sum + lstatSync(join(parentPath, name)).blocks * 512, 0);
  } catch {
    return 0;
  }
}
