import type { OnReadOpts } from 'node:net';
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls';

/** The name under which every server is asked, and for which it has a certificate. */
export const HOST = 'registry-1.docker.io';
/** The one type of manifest that every server passes on. */
export const ACCEPT = 'application/vnd.docker.distribution.manifest.v2+json';

export interface Target {
  readonly port: number;
  /** PEM. */
  readonly ca: string;
}

export interface Request {
  readonly path: string;
  /** GET unless given. */
  readonly method?: 'GET' | 'HEAD';
  /** First and last byte; a server may send everything nevertheless. */
  readonly range?: readonly [number, number];
}

export interface Watch {
  /** Called with the body bytes of each piece that comes. */
  readonly received: (bytes: number) => void;
  /** Called when an answer is complete. Times in milliseconds since its request was sent. */
  readonly done: (firstByte: number, total: number) => void;
  readonly failed: (error: Error) => void;
}

/** Every connection of the process receives into the same bytes: nobody looks at them. */
const buffer = Buffer.allocUnsafe(256 << 10);
const END_OF_HEAD = '\r\n\r\n';

export function headOf({ path, method = 'GET', range }: Request): string {
  const wanted = range === undefined ? '' : `Range: bytes=${range[0]}-${range[1]}\r\n`;
  return `${method} ${path} HTTP/1.1\r\nHost: ${HOST}\r\nAccept: ${ACCEPT}\r\nUser-Agent: bench\r\n${wanted}\r\n`;
}

/** A connection after a full handshake of TLS 1.3. */
export function secure({ port, ca }: Target, onread?: OnReadOpts): Promise<TLSSocket> {
  // The types leave out that TLS sockets take `onread`, too.
  const options: ConnectionOptions & { readonly onread?: OnReadOpts } = {
    host: '127.0.0.1',
    port,
    ca,
    servername: HOST,
    ciphers: 'TLS_AES_128_GCM_SHA256',
    minVersion: 'TLSv1.3',
    ...(onread !== undefined && { onread }),
  };
  return new Promise((resolve, reject) => {
    const socket = connect(options);
    socket.setNoDelay(true);
    socket.once('secureConnect', () => resolve(socket));
    socket.on('error', reject);
  });
}

/** The cheapest HTTP/1.1 client there is in Node, so that the server is what is measured: success with a length or failure. */
export class Connection {
  readonly #watch: Watch;
  #socket: TLSSocket | undefined;
  #request: Request | undefined;
  #text = '';
  #head = '';
  #left = -1;
  #sent = 0;
  #firstByte = 0;
  /** Bytes of the last answer to the same request with its head, when it came in one piece. */
  #whole = 0;
  #bodyOfWhole = 0;

  private constructor(watch: Watch) {
    this.#watch = watch;
  }

  /** Resolves when all of them are open. */
  static several(target: Target, count: number, watch: (at: number) => Watch): Promise<Connection[]> {
    return Promise.all(Array.from({ length: count }, (_, at) => Connection.#open(target, watch(at))));
  }

  static async #open(target: Target, watch: Watch): Promise<Connection> {
    const connection = new Connection(watch);
    const callback = (length: number): boolean => {
      connection.#receive(length);
      return true;
    };
    const socket = await secure(target, { buffer, callback });
    socket.on('error', watch.failed);
    socket.on('close', () => watch.failed(new Error('the server closed the connection')));
    connection.#socket = socket;
    return connection;
  }

  ask(request: Request): void {
    if (request !== this.#request) [this.#request, this.#text, this.#whole] = [request, headOf(request), 0];
    this.#left = -1;
    this.#sent = performance.now();
    this.#socket?.write(this.#text, 'latin1');
  }

  close(): void {
    this.#socket
      ?.removeAllListeners('close')
      .removeAllListeners('error')
      .on('error', () => undefined);
    this.#socket?.destroy();
  }

  #receive(length: number): void {
    if (this.#left < 0 && this.#head === '' && length === this.#whole && buffer[9] === 0x32) {
      this.#firstByte = performance.now() - this.#sent;
      this.#left = 0;
      this.#took(this.#bodyOfWhole);
      return;
    }
    if (this.#left < 0) this.#readHead(length);
    else this.#body(length);
  }

  #readHead(length: number): void {
    const isFirst = this.#head === '';
    const before = this.#head.length;
    this.#head += buffer.toString('latin1', 0, Math.min(length, 4096));
    const end = this.#head.indexOf(END_OF_HEAD);
    if (end < 0) return;
    const head = this.#head;
    this.#head = '';
    const size =
      this.#request?.method === 'HEAD' ? 0 : Number(/\r\ncontent-length: *(\d+)/i.exec(head.slice(0, end))?.[1]);
    if (!/^HTTP\/1.1 20[06]/.test(head) || Number.isNaN(size)) {
      this.#watch.failed(
        new Error(`the server answered ${head.slice(0, head.indexOf('\r'))} to ${this.#request?.path}`),
      );
      return;
    }
    this.#left = size;
    const body = length - (end + END_OF_HEAD.length - before);
    if (isFirst && body === size) [this.#whole, this.#bodyOfWhole] = [length, size];
    this.#firstByte = 0;
    if (body > 0 || size === 0) this.#body(body);
  }

  #body(bytes: number): void {
    if (this.#firstByte === 0) this.#firstByte = performance.now() - this.#sent;
    this.#left -= bytes;
    this.#took(bytes);
  }

  #took(bytes: number): void {
    this.#watch.received(bytes);
    if (this.#left > 0) return;
    this.#left = -1;
    this.#watch.done(this.#firstByte, performance.now() - this.#sent);
  }
}
