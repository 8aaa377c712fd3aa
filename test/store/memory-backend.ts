import { readFile, unlink } from 'node:fs/promises';
import type { Backend, ObjectStat, PutOptions, StoredObject } from '../../src/store/backend.ts';
import { assertKey } from '../../src/store/key.ts';

interface Entry {
  readonly bytes: Uint8Array;
  readonly etag: string;
  readonly modified: Date;
}

/** Objects in memory with the manners of an S3 bucket; for tests, and to keep the contract honest. */
export class MemoryBackend implements Backend {
  readonly #entries = new Map<string, Entry>();
  #version = 0;

  async open(key: string): Promise<StoredObject | undefined> {
    const bytes = this.#find(key)?.bytes;
    if (bytes === undefined) return undefined;
    return {
      size: bytes.length,
      read: async (buffer, position) => {
        const part = bytes.subarray(position, position + buffer.length);
        buffer.set(part);
        return part.length;
      },
      [Symbol.asyncDispose]: async () => {},
    };
  }

  async get(key: string): Promise<{ readonly bytes: Uint8Array; readonly etag: string } | undefined> {
    const entry = this.#find(key);
    return entry === undefined ? undefined : { bytes: new Uint8Array(entry.bytes), etag: entry.etag };
  }

  async put(key: string, bytes: Uint8Array, options: PutOptions = {}): Promise<boolean> {
    const etag = this.#find(key)?.etag;
    const { condition } = options;
    if (condition !== undefined) {
      if ('ifAbsent' in condition ? etag !== undefined : etag !== condition.ifMatch) return false;
    }
    this.#version += 1;
    this.#entries.set(key, { bytes: new Uint8Array(bytes), etag: `v${this.#version}`, modified: new Date() });
    return true;
  }

  async adopt(key: string, path: string): Promise<void> {
    assertKey(key);
    await this.put(key, await readFile(path), { condition: { ifAbsent: true } });
    await unlink(path);
  }

  async stat(key: string): Promise<ObjectStat | undefined> {
    const entry = this.#find(key);
    if (entry === undefined) return undefined;
    return { size: entry.bytes.length, modified: entry.modified, etag: entry.etag };
  }

  async remove(key: string): Promise<boolean> {
    assertKey(key);
    return this.#entries.delete(key);
  }

  async list(
    prefix: string,
    options: { readonly after?: string; readonly limit?: number } = {},
  ): Promise<readonly string[]> {
    const { after = '', limit = 1000 } = options;
    const keys = [...this.#entries.keys()].filter((key) => key.startsWith(prefix) && key > after);
    return keys.sort().slice(0, limit);
  }

  #find(key: string): Entry | undefined {
    assertKey(key);
    return this.#entries.get(key);
  }
}
