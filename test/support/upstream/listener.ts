import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

export interface ListenerOptions {
  /** An IP address; 127.0.0.1 unless given. */
  readonly address?: string;
  readonly port?: number;
  /** PEM; without it the listener speaks plain HTTP. */
  readonly certificate?: { readonly cert: string; readonly key: string };
}

/** One host of the upstream: a server that can go down and come back on the same port. */
export class Listener {
  readonly #server: ReturnType<typeof createServer> | ReturnType<typeof createTlsServer>;
  readonly #sockets = new Map<string, Socket>();
  readonly #address: string;
  #port: number;

  constructor(options: ListenerOptions, serve: RequestListener) {
    const { certificate, address = '127.0.0.1', port = 0 } = options;
    const settings = { keepAliveTimeout: 120_000, requestTimeout: 0 };
    this.#server = certificate
      ? createTlsServer({ ...settings, ...certificate }, serve)
      : createServer(settings, serve);
    this.#address = address;
    this.#port = port;
    this.#server.on('connection', (socket: Socket) => {
      const key = `${socket.remoteAddress} ${socket.remotePort}`;
      this.#sockets.set(key, socket);
      socket.on('close', () => this.#sockets.delete(key));
      socket.on('error', () => undefined);
    });
  }

  get address(): string {
    return this.#address;
  }

  get port(): number {
    return this.#port;
  }

  async up(): Promise<void> {
    if (this.#server.listening) return;
    for (let tries = 50; ; tries--) {
      this.#server.listen(this.#port, this.#address);
      try {
        await once(this.#server, 'listening');
        break;
      } catch (error) {
        // Another process may hold the port for a moment as the near end of a connection.
        if (this.#port === 0 || tries === 0) throw error;
        await sleep(20);
      }
    }
    this.#port = (this.#server.address() as AddressInfo).port;
  }

  /** Refuses connections from now on and breaks those there are. */
  async down(): Promise<void> {
    if (!this.#server.listening) return;
    const gone = once(this.#server, 'close');
    this.#server.close();
    for (const socket of this.#sockets.values()) socket.destroy();
    await gone;
  }

  /** Resets the connection from this peer, below TLS too. */
  reset(peer: Socket): void {
    this.#sockets.get(`${peer.remoteAddress} ${peer.remotePort}`)?.resetAndDestroy();
  }
}
