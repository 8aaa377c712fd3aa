import type { RequestListener, Server, ServerResponse } from 'node:http';
import { type AddressInfo, type ListenOptions, Server as NetServer, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { admission } from '../config/admission.ts';
import type { ListenAddress } from '../config/config.ts';
import { publish } from '../events.ts';

/** Limits against slow and oversized requests; the time of a body is bounded by silence alone. */
export const HARDENING = {
  headersTimeout: 15_000,
  requestTimeout: 0,
  connectionsCheckingInterval: 5_000,
  keepAliveTimeout: 120_000,
  maxHeaderSize: 32 * 1024,
  requireHostHeader: true,
  insecureHTTPParser: false,
} as const;

/** A connection on which nothing moves in either direction for so long is cut. */
const SILENCE = 300_000;

/** While a listener drains, a connection that has just come may still send its first request: milliseconds at the most. */
const FIRST_REQUEST = 5_000;

/** One address with its connections and the answers that are being written on them. */
export class Listener<Any extends Server = Server> {
  readonly server: Any;
  readonly #address: ListenAddress;
  /** With the moment of their coming; over TLS, what is inside of them too. */
  readonly #sockets = new Map<Socket, number>();
  readonly #running = new Set<ServerResponse>();
  readonly #latest = new WeakMap<Socket, ServerResponse>();
  #closing = false;

  /** `server` must have been made with {@link HARDENING}. */
  constructor(address: ListenAddress, server: Any, listener: RequestListener) {
    this.#address = address;
    this.server = server;
    server.timeout = SILENCE;
    const admits = admission(address.allow);
    server.on('connection', (socket: Socket) => {
      if (!admits(socket.remoteAddress)) return refuse(socket);
      this.#enter(socket);
    });
    server.on('secureConnection', (socket: Socket) => this.#enter(socket));
    const serve: RequestListener = (request, response) => {
      // An answer that ends its connection is the last: what seems to follow is not acted upon (RFC 9112 §9.6).
      if (this.#latest.get(request.socket)?.shouldKeepAlive === false) return;
      this.#latest.set(request.socket, response);
      this.#track(response);
      listener(request, response);
    };
    // An expectation is answered by whoever reads the body, or refused with the request.
    for (const event of ['request', 'checkContinue', 'checkExpectation']) server.on(event, serve);
  }

  /** Binds, on IPv4 alone where the machine has no IPv6, and to the fallback port where the port cannot be had. */
  listen(): Promise<AddressInfo> {
    return this.#listenAt(this.#address);
  }

  async #listenAt({ host, port, fallbackPort, descriptor }: ListenAddress): Promise<AddressInfo> {
    try {
      return await this.#bind(descriptor === undefined ? { host, port } : { fd: descriptor });
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? error.code : undefined;
      if (host === '::' && (code === 'EAFNOSUPPORT' || code === 'EADDRNOTAVAIL')) {
        const address = { host: '0.0.0.0', port };
        return this.#listenAt(fallbackPort === undefined ? address : { ...address, fallbackPort });
      }
      if (fallbackPort === undefined || (code !== 'EACCES' && code !== 'EADDRINUSE')) throw error;
      publish('notice', { level: 'warn', message: `port ${port} cannot be bound (${code}), using ${fallbackPort}` });
      return this.#listenAt({ host, port: fallbackPort });
    }
  }

  /**
   * Stops accepting, lets running answers finish and those begin that connections may just have come for, for at most
   * `drain` milliseconds, then closes every connection.
   */
  async close(drain: number): Promise<void> {
    this.#closing = true;
    const { server } = this;
    // Not as HTTP servers do: they would cut those off that have come and not yet asked.
    const closed = new Promise<void>((resolve) => {
      NetServer.prototype.close.call(server, () => resolve());
    });
    for (const response of this.#running) response.shouldKeepAlive = false;
    for (const socket of this.#sockets.keys()) {
      const latest = this.#latest.get(socket);
      if (latest !== undefined && !this.#running.has(latest)) socket.destroy();
    }
    await this.#finished(drain);
    for (const socket of this.#sockets.keys()) socket.destroy();
    await closed;
    server.close();
  }

  #enter(socket: Socket): void {
    this.#sockets.set(socket, performance.now());
    socket.once('close', () => this.#sockets.delete(socket));
  }

  #track(response: ServerResponse): void {
    this.#running.add(response);
    if (this.#closing) response.shouldKeepAlive = false;
    response.once('close', () => this.#running.delete(response));
  }

  async #finished(drain: number): Promise<void> {
    const patience = Math.min(FIRST_REQUEST, drain / 40);
    const isBusy = (): boolean =>
      this.#running.size > 0 || [...this.#sockets.values()].some((came) => performance.now() - came < patience);
    const end = performance.now() + drain;
    while (isBusy() && performance.now() < end) await sleep(Math.min(20, end - performance.now()));
  }

  #bind(at: ListenOptions | { readonly fd: number }): Promise<AddressInfo> {
    const { server } = this;
    return new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen(at, () => {
        server.off('error', reject);
        server.on('error', (error) => publish('notice', { level: 'error', message: 'a listener failed', error }));
        resolve(server.address() as AddressInfo);
      });
    });
  }
}

/** Before a byte was read or sent, so before TLS as well. */
function refuse(socket: Socket): void {
  const message = 'a connection was refused: its address is in no network of allow';
  publish('notice', { level: 'debug', message, fields: { client: socket.remoteAddress ?? '' } });
  socket.destroy();
}
