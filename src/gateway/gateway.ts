import type { RequestListener } from 'node:http';
import { createServer as createTlsServer, type Server, type ServerOptions } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Config } from '../config/config.ts';
import { publish } from '../events.ts';
import { routeTable } from './door.ts';
import { HARDENING, Listener } from './listener.ts';
import { createPassThrough, type PassThroughOptions } from './pass-through.ts';
import { createServe, type ServeOptions } from './serve.ts';

// Imported by name, it would load all of fetch and WebSocket: a third of the time until the gateway is ready.
const { createServer } = process.getBuiltinModule('node:http');

export interface GatewayOptions
  extends Pick<ServeOptions, 'endpoints' | 'identify' | 'rootCertificates' | 'via'>,
    Omit<PassThroughOptions, 'via'> {
  readonly config: Pick<Config, 'listen' | 'names' | 'mirror' | 'hosted' | 'upstreams'>;
  readonly tls: ServerOptions;
  /** Serves the address `listen.admin`; without it that address is not bound. */
  readonly admin?: RequestListener;
}

/** The addresses that were bound. */
export interface GatewayAddresses {
  readonly https: AddressInfo;
  readonly http: AddressInfo;
  readonly admin?: AddressInfo;
}

/** The doors of the house. */
export interface Gateway {
  /** To renew the certificate for our own names. */
  readonly tlsServer: Server;
  /** Binds every address or none. */
  listen(): Promise<GatewayAddresses>;
  /** Stops accepting, finishes what runs for at most `drain` milliseconds, then cuts what is left. */
  close(drain: number): Promise<void>;
}

export function createGateway(options: GatewayOptions): Gateway {
  const { admin, config } = options;
  const serve = createServe({
    ...options,
    table: routeTable(config),
    passThrough: createPassThrough(options),
  });
  const tlsServer = createTlsServer({ ALPNProtocols: ['http/1.1'], ...options.tls, ...HARDENING });
  tlsServer.on('tlsClientError', ({ message }, { remoteAddress = '' }) => {
    publish('notice', {
      level: 'debug',
      message: `TLS handshake failed: ${message}`,
      fields: { client: remoteAddress },
    });
  });
  const doors = {
    https: new Listener(tlsServer, (request, response) => serve('https', request, response)),
    http: new Listener(createServer(HARDENING), (request, response) => serve('http', request, response)),
    ...(admin !== undefined && { admin: new Listener(createServer(HARDENING), admin) }),
  };
  const close = async (drain: number): Promise<void> => {
    await Promise.all(Object.values(doors).map((door) => door.close(drain)));
  };
  const listen = async (): Promise<GatewayAddresses> => ({
    https: await doors.https.listen(config.listen.https),
    http: await doors.http.listen(config.listen.http),
    ...(doors.admin !== undefined && { admin: await doors.admin.listen(config.listen.admin) }),
  });
  return {
    tlsServer,
    close,
    async listen() {
      try {
        return await listen();
      } catch (error) {
        await close(0);
        throw error;
      }
    },
  };
}
