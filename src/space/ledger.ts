import { constants } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Claim, Claims } from '../store/claim.ts';
import { inDirectory, persist } from '../store/disk.ts';
import { type Holder, toHolder } from '../store/holder.ts';
import { asObject, isCount, parseObject, toJson } from '../store/json.ts';
import { OpenFile } from '../store/open-file.ts';
import { toBlocks } from '../store/space.ts';

/** What processes that share a cache know of its size. `used` and all draws together are never less than is on disk. */
export interface Figures {
  /** Bytes. */
  readonly used: number;
  /** All bytes that were ever added to `used`; tells what came while somebody counted. */
  readonly grown: number;
  /** Whether `used` was counted. */
  readonly trusted: boolean;
  readonly draws: Readonly<Record<string, Draw>>;
}

/** What a process may take beyond `used` without asking again; its last sign of life in milliseconds since 1970. */
export interface Draw {
  readonly bytes: number;
  readonly at: number;
  readonly holder?: Holder;
}

const CLAIM_TRIES = 200;

/**
 * A small file written in place, so that a full disk does not keep it from being changed, and so that whoever has it
 * open notices when it is gone: the cache was deleted, and the old figures are an upper bound.
 */
export class Ledger {
  readonly #path: string;
  readonly #claims: Claims;
  readonly #first: () => Promise<Figures>;
  #file: OpenFile | undefined;

  /** `first`: what to begin with where there is no file, or an unreadable one. */
  constructor(path: string, claims: Claims, first: () => Promise<Figures>) {
    this.#path = path;
    this.#claims = claims;
    this.#first = first;
  }

  /** As of now; `undefined` while an update has to find or begin it. */
  async read(): Promise<Figures | undefined> {
    return (await this.#file?.isAt(this.#path)) ? await this.#content() : undefined;
  }

  /** Changes the figures, alone among all processes. `durable`: the change survives a power cut. */
  async update(change: (figures: Figures) => Figures, durable: boolean): Promise<void> {
    await using _ = await this.#claim();
    await persist(async () => {
      const figures = await this.#attach();
      // Open no longer than needed, so that the file system can be made read-only.
      await using file = await OpenFile.open(this.#path, constants.O_WRONLY);
      const bytes = toJson(change(figures));
      await file.write(Buffer.concat([bytes, Buffer.alloc(toBlocks(bytes.length) - bytes.length, ' ')]), 0);
      if (durable) await file.sync();
    });
  }

  async close(): Promise<void> {
    await this.#file?.close();
  }

  async #claim(): Promise<Claim> {
    for (let tries = 0; tries < CLAIM_TRIES; tries += 1) {
      const claim = await this.#claims.acquire('space');
      if (claim !== undefined) return claim;
      await sleep(5);
    }
    throw new Error('another process does not let go of the account of space');
  }

  async #attach(): Promise<Figures> {
    const before = await this.#content();
    if (await this.#file?.isAt(this.#path)) return before ?? (await this.#first());
    const first = before === undefined ? await this.#first() : { ...before, trusted: false };
    const flags = constants.O_RDONLY | constants.O_CREAT;
    const file = await inDirectory(dirname(this.#path), () => OpenFile.open(this.#path, flags));
    await this.#file?.close();
    this.#file = file;
    return (await this.#content()) ?? first;
  }

  async #content(): Promise<Figures | undefined> {
    if (this.#file === undefined) return undefined;
    const bytes = new Uint8Array(Number(this.#file.stat().size));
    if (bytes.length > 0) await this.#file.read(bytes, 0);
    return toFigures(bytes);
  }
}

/** Bytes that others than `self` drew. */
export function drawnByOthers({ draws }: Figures, self: string): number {
  return Object.entries(draws).reduce((sum, [holder, { bytes }]) => (holder === self ? sum : sum + bytes), 0);
}

function toFigures(content: Uint8Array): Figures | undefined {
  const { used, grown, trusted, draws } = parseObject(content) ?? {};
  if (!isCount(used) || !isCount(grown) || typeof trusted !== 'boolean') return undefined;
  const parsed = Object.entries(asObject(draws) ?? {}).map(([id, draw]) => {
    const { bytes, at, holder: value } = asObject(draw) ?? {};
    const holder = toHolder(value);
    return isCount(bytes) && isCount(at) ? ([id, { bytes, at, ...(holder && { holder }) }] as const) : undefined;
  });
  const known = parsed.filter((draw) => draw !== undefined);
  return known.length < parsed.length ? undefined : { used, grown, trusted, draws: Object.fromEntries(known) };
}
