import type { X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import { type SecureContext, type TLSSocket, connect as tlsConnect } from 'node:tls';
import { reasonOf } from '../upstream/network.ts';
import { patience } from './bounded.ts';

/** What came of a TLS handshake. */
export interface Handshake {
  readonly name: string;
  /** The certificate is trusted, and is for this name. */
  readonly trusted: boolean;
  /** Why not: the code of OpenSSL or of the system. */
  readonly code?: string;
  /** What was shown; absent when the handshake did not come that far. */
  readonly certificate?: X509Certificate;
}

export interface Peer {
  /** An IP address. */
  readonly address: string;
  readonly port: number;
  /** Which certificate is asked for. */
  readonly name: string;
  /** The certificates trusted; those of Node when absent. */
  readonly trust?: SecureContext;
}

/** Shakes hands and hangs up, whatever is shown. */
export function shakeHands({ address, port, name, trust }: Peer, limit = patience.question): Promise<Handshake> {
  const { promise, resolve } = Promise.withResolvers<Handshake>();
  const socket = tlsConnect({
    host: address,
    port,
    servername: isIP(name) === 0 ? name : '',
    rejectUnauthorized: false,
    ...(trust && { secureContext: trust }),
  });
  const timer = setTimeout(() => socket.destroy(Object.assign(new Error('no answer'), { code: 'ETIMEDOUT' })), limit);
  socket.once('secureConnect', () => resolve(outcome(name, socket)));
  socket.on('error', (error) => resolve({ name, trusted: false, code: reasonOf(error) }));
  // What ends a connection without an error shows no certificate either.
  socket.once('close', () => resolve({ name, trusted: false, code: 'ECONNRESET' }));
  return promise.finally(() => {
    clearTimeout(timer);
    socket.destroy();
  });
}

function outcome(name: string, socket: TLSSocket): Handshake {
  const certificate = socket.getPeerX509Certificate();
  const { authorized: trusted, authorizationError: error } = socket;
  const code = error instanceof Error ? reasonOf(error) : String(error);
  return { name, trusted, ...(!trusted && { code }), ...(certificate && { certificate }) };
}
