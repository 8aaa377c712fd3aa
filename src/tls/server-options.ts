import { constants } from 'node:crypto';
import type { Socket } from 'node:net';
import type { SecureContext, SecureContextOptions, Server, TLSSocket, TlsOptions } from 'node:tls';
import { publish } from '../events.ts';
import type { Leaves, ServerCertificate } from './leaves.ts';
import { serverName } from './server-name.ts';

/** AES-128-GCM costs the least per byte; clients without AES instructions put ChaCha20 first and get it. */
const ciphers = [
  'TLS_AES_128_GCM_SHA256',
  'TLS_CHACHA20_POLY1305_SHA256',
  'TLS_AES_256_GCM_SHA384',
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  // For a certificate that was made elsewhere: ours are ECDSA.
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-RSA-CHACHA20-POLY1305',
  'ECDHE-RSA-AES256-GCM-SHA384',
].join(':');

/** Fatal alert `unrecognized_name` (RFC 6066 section 3) as a TLS record. */
const unrecognizedName = Buffer.from([21, 3, 3, 0, 2, 2, 112]);

/**
 * Options for `https.createServer`. A client that names no server gets the certificate for our own names, one that
 * names an unknown server an alert and no certificate. Pass the server to {@link keepFresh}.
 */
export function tlsOptions(leaves: Leaves): TlsOptions {
  return {
    ...contextOptions(leaves.own()),
    ALPNProtocols: ['http/1.1'],
    handshakeTimeout: 10_000,
    SNICallback(this: TLSSocket, servername: string, answer: (error: Error | null, context?: SecureContext) => void) {
      const context = contextFor(leaves, servername);
      if (!(context instanceof Error)) return answer(null, context);
      refuse(this);
      // Without a context the server would show its own certificate instead.
      answer(context);
    },
  };
}

/**
 * Gives the server the renewed certificate for our own names. A client that names no server is answered by the
 * server's context without asking, so the context is looked at before each connection. Call it where the server is made.
 */
export function keepFresh(server: Server, leaves: Leaves): void {
  let current = leaves.own();
  server.prependListener('connection', () => {
    try {
      const own = leaves.own();
      if (own === current) return;
      server.setSecureContext(contextOptions(own));
      current = own;
    } catch (error) {
      publish('notice', { level: 'error', message: 'the certificate for our own names cannot be renewed', error });
    }
  });
}

function contextOptions(own: ServerCertificate): SecureContextOptions {
  return {
    key: own.key,
    cert: own.cert,
    minVersion: 'TLSv1.2',
    ciphers,
    honorCipherOrder: true,
    secureOptions: constants.SSL_OP_PRIORITIZE_CHACHA,
  };
}

function contextFor(leaves: Leaves, servername: string): SecureContext | Error {
  try {
    const name = serverName(servername) ?? 'a malformed server name';
    return leaves.secureContext(servername) ?? new Error(`no certificate for ${name}`);
  } catch (error) {
    return new Error('cannot make a certificate', { cause: error });
  }
}

/**
 * Node closes such a connection without a word, which clients report as a broken network. The socket below TLS is no
 * documented property; without it the connection is closed all the same.
 */
function refuse(socket: TLSSocket): void {
  const below = (socket as TLSSocket & { readonly _parent?: Socket })._parent;
  if (below?.writable === true) below.write(unrecognizedName);
}
