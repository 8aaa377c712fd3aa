/** Buffers of one size that go round: a warm answer allocates nothing for its bytes. */
class Pool {
  readonly #size: number;
  readonly #kept: number;
  readonly #free: Buffer[] = [];

  constructor(size: number, kept: number) {
    this.#size = size;
    this.#kept = kept;
  }

  take(): Buffer {
    return this.#free.pop() ?? Buffer.allocUnsafeSlow(this.#size);
  }

  giveBack(buffer: Buffer): void {
    if (this.#free.length < this.#kept) this.#free.push(buffer);
  }
}

/** Bytes. Few reads for few answers; a thousand answers that wait for slow clients must not take a gigabyte. */
const LARGE = 512 << 10;
const SMALL = 32 << 10;
/** How many answers may have large buffers. */
const FEW = 64;

const large = new Pool(LARGE, 32);
const small = new Pool(SMALL, 256);
let answers = 0;

/** Counts an answer among those that share the buffers until it is disposed. */
export function shareBuffers(): Disposable {
  answers += 1;
  return {
    [Symbol.dispose]() {
      answers -= 1;
    },
  };
}

export function takeBuffer(): Buffer {
  return (answers > FEW ? small : large).take();
}

/** Only for a buffer that neither the socket nor a running read still uses. */
export function giveBack(buffer: Buffer): void {
  (buffer.length === LARGE ? large : small).giveBack(buffer);
}
