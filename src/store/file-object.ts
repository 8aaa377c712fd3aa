import type { StoredObject } from './backend.ts';
import type { OpenFile } from './open-file.ts';

/** An object that is an open file; `failed` learns of what cannot be read, and throws. */
export class FileObject implements StoredObject {
  readonly size: number;
  readonly #file: OpenFile;
  readonly #failed: (error: unknown) => Promise<never>;

  constructor(file: OpenFile, size: number, failed: (error: unknown) => Promise<never>) {
    this.#file = file;
    this.size = size;
    this.#failed = failed;
  }

  read(buffer: Uint8Array, position: number): Promise<number> {
    const left = Math.max(0, this.size - position);
    const reading = this.#file.read(left < buffer.length ? buffer.subarray(0, left) : buffer, position);
    return reading.catch(this.#failed);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#file.close();
  }
}
