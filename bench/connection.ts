import type { OnReadOpts } from 'node:net';
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls';

/** The name under which every server is asked, and for which it has a certificate. */
export const HOST = 'registry-1.docker.io';

export interface Target {
  readonly port: number;
  /** PEM. */
  readonly ca: string;
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
/** The one type of manifest that every server passes on. */
export const ACCEPT = 'application/vnd.docker.distribution.manifest.v2+json';
const END_OF_HEAD = '\r\n\r\n';

/** The cheapest HTTP/1.1 client there is in Node, so that the server is what is measured: 200 with a length or failure. */
export class Connection {
  readonly #socket: TLSSocket;
  readonly #watch: Watch;
  #head = '';
  #left = -1;
  #sent = 0;
  #firstByte = 0;
  /** Bytes of the last answer with its head, when it came in one piece. */
  #whole = 0;
  #bodyOfWhole = 0;

  private constructor(socket: TLSSocket, watch: Watch) {
    this.#socket = socket;
    this.#watch = watch;
  }

  static open({ port, ca }: Target, watch: Watch): Promise<Connection> {
    return new Promise((resolve, reject) => {
      const callback = (length: number): boolean => {
        connection.#receive(length);
        return true;
      };
      // The types leave out that TLS sockets take `onread`, too.
      const options: ConnectionOptions & { readonly onread: OnReadOpts } = {
        host: '127.0.0.1',
        port,
        ca,
        servername: HOST,
        ciphers: 'TLS_AES_128_GCM_SHA256',
        minVersion: 'TLSv1.3',
        onread: { buffer, callback },
      };
      const socket = connect(options);
      const connection = new Connection(socket, watch);
      socket.setNoDelay(true);
      socket.once('secureConnect', () => resolve(connection));
      socket.on('error', (error) => {
        reject(error);
        watch.failed(error);
      });
    });
  }

  get(path: string): void {
    this.#left = -1;
    this.#sent = performance.now();
    this.#socket.write(
      `GET ${path} HTTP/1.1\r\nHost: ${HOST}\r\nAccept: ${ACCEPT}\r\nUser-Agent: bench\r\n\r\n`,
      'latin1',
    );
  }

  close(): void {
    this.#socket.removeAllListeners('error').on('error', () => undefined);
    this.#socket.destroy();
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
    const size = Number(/\r\ncontent-length: *(\d+)/i.exec(head.slice(0, end))?.[1]);
    if (!head.startsWith('HTTP/1.1 200') || Number.isNaN(size)) {
      this.#watch.failed(new Error(`the server answered ${head.slice(0, head.indexOf('\r'))}`));
      return;
    }
    this.#left = size;
    const body = length - (end + END_OF_HEAD.length - before);
    if (isFirst && body === size) [this.#whole, this.#bodyOfWhole] = [length, size];
    this.#firstByte = 0;
    if (body > 0) this.#body(body);
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
