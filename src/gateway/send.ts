import type { ServerResponse } from 'node:http';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { ByteRange } from '../oci/range.ts';
import type { Body, ByteSource } from '../registry/exchange.ts';
import { giveBack, shareBuffers, takeBuffer } from './buffers.ts';

/** The exchange that an answer belongs to, as its writer sees it. */
export interface Answering {
  readonly method: string;
  /** The request was for a path of the registry protocol. */
  readonly api: boolean;
  /** Aborted when the client goes away. */
  readonly signal: AbortSignal;
  /** Told when the head goes out. */
  begun(): void;
  /** Body bytes handed to the socket. */
  bytes: number;
}

/** An answer on its way out. `head` writes the head and is called once, when the first bytes are at hand. */
export interface Outgoing {
  readonly response: ServerResponse;
  readonly head: () => void;
  readonly exchange: Answering;
}

/** How long the head waits for the first bytes: until then a failure is still a clean error, afterwards a cut. */
const PATIENCE = 10_000;

/** Sends the whole body, whatever its kind, and releases it. */
export async function sendBody(out: Outgoing, body: Body): Promise<void> {
  switch (body.kind) {
    case 'bytes':
      out.head();
      out.exchange.bytes += body.bytes.length;
      out.response.end(body.bytes);
      return;
    case 'stream':
      return sendStream(out, body.stream);
    case 'source': {
      await using source = body.source;
      using line = new Line(out);
      await sendRange(line, source, body.range);
      break;
    }
    case 'parts': {
      await using source = body.source;
      using line = new Line(out);
      for (const { head, range } of body.parts) await sendRange(line, source, range, head);
      await line.write(body.tail);
    }
  }
  out.response.end();
}

/** Gives up a body that will not be sent. */
export async function releaseBody(body: Body | undefined): Promise<void> {
  if (body?.kind === 'stream') body.stream.destroy();
  if (body?.kind === 'source' || body?.kind === 'parts') await body.source[Symbol.asyncDispose]();
}

/** An answer's bytes on their way into the socket, one block after the other. */
class Line implements Disposable {
  readonly out: Outgoing;
  readonly #share = shareBuffers();
  #refuse: ((reason: unknown) => void) | undefined;

  constructor(out: Outgoing) {
    this.out = out;
    out.exchange.signal.addEventListener('abort', this.#abort);
  }

  /** Resolves when the socket has taken the bytes and their buffer may be used again. */
  write(bytes: Uint8Array): Promise<void> {
    const { response, exchange } = this.out;
    exchange.signal.throwIfAborted();
    return new Promise((resolve, reject) => {
      this.#refuse = reject;
      response.write(bytes, (error) => {
        if (error) return reject(error);
        exchange.bytes += bytes.length;
        resolve();
      });
    });
  }

  [Symbol.dispose](): void {
    this.#share[Symbol.dispose]();
    this.out.exchange.signal.removeEventListener('abort', this.#abort);
  }

  /** A socket that is torn down may forget its callbacks. */
  readonly #abort = (): void => this.#refuse?.(this.out.exchange.signal.reason);
}

/**
 * Reads one block ahead of the write, with two pooled buffers and no stream: this is the warm path, and it costs
 * little more than the encryption does. `preface` goes out before the range.
 */
async function sendRange(line: Line, source: ByteSource, range: ByteRange, preface?: Uint8Array): Promise<void> {
  const { out } = line;
  let position = range.start;
  let ahead = readAhead(out, source, range);
  try {
    if (!out.response.headersSent) {
      await soon(ahead);
      out.head();
    }
    if (preface !== undefined) await line.write(preface);
    while (ahead !== undefined) {
      const block = await ahead;
      position += block.length;
      ahead = readAhead(out, source, { start: position, end: range.end });
      await line.write(block.buffer.subarray(0, block.length));
      giveBack(block.buffer);
    }
  } finally {
    // A read that is still running must not outlive its source.
    const unused = await ahead?.catch(() => undefined);
    if (unused !== undefined) giveBack(unused.buffer);
  }
}

interface Block {
  readonly buffer: Buffer;
  readonly length: number;
}

function readAhead(out: Outgoing, source: ByteSource, range: ByteRange): Promise<Block> | undefined {
  if (range.start >= range.end) return undefined;
  const block = readBlock(out, source, range);
  // It may fail while the block before it is still being written; whoever awaits it then learns of it.
  block.catch(() => undefined);
  return block;
}

async function readBlock({ exchange }: Outgoing, source: ByteSource, { start, end }: ByteRange): Promise<Block> {
  const buffer = takeBuffer();
  const window = end - start < buffer.length ? buffer.subarray(0, end - start) : buffer;
  const length = await source.read(window, start, exchange.signal);
  if (length === 0) throw new Error(`the source ended at byte ${start} of ${end}`);
  return { buffer, length };
}

/** Rejects when `first` does so soon; returns when it is there or when waiting longer would leave the client in doubt. */
async function soon(first: Promise<Block> | undefined): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const patience = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, PATIENCE).unref();
  });
  try {
    await Promise.race([first, patience]);
  } finally {
    clearTimeout(timer);
  }
}

async function sendStream(out: Outgoing, stream: Readable): Promise<void> {
  const { exchange, head, response } = out;
  head();
  const count = async function* (chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const chunk of chunks) {
      exchange.bytes += chunk.length;
      yield chunk;
    }
  };
  // Left open at the end, because a failed pipeline would destroy the socket and with it what the client has yet to read.
  await pipeline(stream, count, response, { end: false, signal: exchange.signal });
  response.end();
}
