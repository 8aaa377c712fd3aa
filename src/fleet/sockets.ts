import { lookup } from 'node:dns/promises';
import { type BoundSocket, isIP } from 'node:net';
import type { ListenAddress } from '../config/config.ts';
import { publish } from '../events.ts';

const { BoundSocket: Bound } = process.getBuiltinModule('node:net');

/**
 * The sockets that workers listen on. They are bound here once and listened on by those who inherit them, so that no
 * connection is lost while workers come and go: the kernel's queue of a socket lives as long as anybody has it open.
 */
export class Sockets implements Disposable {
  readonly #open = new Map<string, BoundSocket>();

  /**
   * Binds what is not bound yet; gives the descriptors in the order of the addresses. `beside`: processes of ours that have lost
   * their supervisor still listen there. Throws when an address cannot be had; what was bound before stays.
   */
  async open(addresses: readonly ListenAddress[], beside: boolean): Promise<readonly number[]> {
    const opened: [string, BoundSocket][] = [];
    try {
      for (const [key, address] of keyed(addresses)) {
        if (!this.#open.has(key)) opened.push([key, await bind(address, beside)]);
      }
    } catch (error) {
      for (const [, socket] of opened) socket.close();
      throw error;
    }
    for (const [key, socket] of opened) this.#open.set(key, socket);
    return keyed(addresses).flatMap(([key]) => this.#open.get(key)?.fd() ?? []);
  }

  /** Closes what is none of these any more. */
  keep(addresses: readonly ListenAddress[]): void {
    const kept = new Set(keyed(addresses).map(([key]) => key));
    for (const [key, socket] of this.#open) {
      if (kept.has(key)) continue;
      socket.close();
      this.#open.delete(key);
    }
  }

  [Symbol.dispose](): void {
    this.keep([]);
  }
}

/** One address may stand there several times, with port 0. */
function keyed(addresses: readonly ListenAddress[]): readonly (readonly [string, ListenAddress])[] {
  const name = ({ host, port }: ListenAddress): string => `${host} ${port}`;
  return addresses.map((address, index) => {
    const before = addresses.slice(0, index).filter((other) => name(other) === name(address));
    return [`${name(address)} ${before.length}`, address];
  });
}

/** As a listener of a single process binds: IPv4 alone where there is no IPv6, and another port where one may be taken. */
async function bind({ host, port, fallbackPort }: ListenAddress, beside: boolean): Promise<BoundSocket> {
  try {
    return await bindAt(host, port, beside);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (host === '::' && (code === 'EAFNOSUPPORT' || code === 'EADDRNOTAVAIL')) {
      return bind({ host: '0.0.0.0', port, ...(fallbackPort !== undefined && { fallbackPort }) }, beside);
    }
    if (fallbackPort === undefined || (code !== 'EACCES' && code !== 'EADDRINUSE')) throw error;
    publish('notice', { level: 'warn', message: `port ${port} cannot be bound (${code}), using ${fallbackPort}` });
    return bind({ host, port: fallbackPort }, beside);
  }
}

async function bindAt(name: string, port: number, beside: boolean): Promise<BoundSocket> {
  const host = isIP(name) === 0 ? (await lookup(name)).address : name;
  // Sharing a port is for our own successor: another gateway there is a mistake, and has to be told.
  if (!beside && port !== 0) new Bound({ host, port }).close();
  return new Bound({ host, port, reusePort: true });
}
