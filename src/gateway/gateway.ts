import type { RequestListener } from 'node:http';
import { createServer as createTlsServer, type Server, type ServerOptions } from 'node:https';
import type { AddressInfo } from 'node:net';
import { admission } from '../config/admission.ts';
import type { AtLeastOne, Config } from '../config/config.ts';
import { publish } from '../events.ts';
import { type RoutedConfig, routeTable } from './door.ts';
import { HARDENING, Listener } from './listener.ts';
import { createPassThrough, type PassThroughOptions } from './pass-through.ts';
import { createServe, type ServeOptions } from './serve.ts';

// Imported by name, it would load all of fetch and WebSocket: a third of the time until the gateway is ready.
const { createServer } = process.getBuiltinModule('node:http');

export interface GatewayOptions
  extends Pick<ServeOptions, 'endpoints' | 'identify' | 'identifyUser' | 'pages' | 'via'>,
    Omit<PassThroughOptions, 'via'> {
  readonly config: Pick<Config, 'listen' | 'metrics'> & RoutedConfig;
  readonly tls: ServerOptions;
  /** Serves the addresses `listen.admin`, and `/metrics` on the plain ones if public; without it they are not bound. */
  readonly admin?: RequestListener;
}

/** The addresses that were bound, in the order of the configuration. */
export interface GatewayAddresses {
  readonly https: AtLeastOne<AddressInfo>;
  readonly http: AtLeastOne<AddressInfo>;
  readonly admin?: AtLeastOne<AddressInfo>;
}

/** The doors of the house. */
export interface Gateway {
  /** To renew the certificate for our own names. */
  readonly tlsServers: AtLeastOne<Server>;
  /** Routes by another configuration from the next request on; addresses stay as they are. */
  reroute(config: RoutedConfig): void;
  /** Binds every address or none. */
  listen(): Promise<GatewayAddresses>;
  /** Stops accepting, finishes what runs for at most `drain` milliseconds, then cuts what is left. */
  close(drain: number): Promise<void>;
}

export function createGateway(options: GatewayOptions): Gateway {
  const { admin, config } = options;
  let table = routeTable(config, options.pages);
  const serve = createServe({
    ...options,
    believes: admission(config.listen.proxies),
    table: () => table,
    passThrough: createPassThrough(options),
  });
  const secure: RequestListener = (request, response) => serve('https', request, response);
  const plain: RequestListener = (request, response) => {
    const isMetrics = config.metrics === 'public' && request.url?.split('?', 1)[0] === '/metrics';
    if (isMetrics && admin !== undefined) admin(request, response);
    else serve('http', request, response);
  };
  const { listen } = config;
  const https = each(listen.https, (address) => new Listener(address, createSecureServer(options.tls), secure));
  const http = each(listen.http, (address) => new Listener(address, createServer(HARDENING), plain));
  const monitoring = admin && each(listen.admin, (address) => new Listener(address, createServer(HARDENING), admin));
  const close = async (drain: number): Promise<void> => {
    await Promise.all([...https, ...http, ...(monitoring ?? [])].map((listener) => listener.close(drain)));
  };
  return {
    tlsServers: each(https, ({ server }) => server),
    close,
    reroute(next) {
      table = routeTable(next, options.pages);
    },
    async listen() {
      try {
        const addresses = { https: await bind(https), http: await bind(http) };
        return monitoring === undefined ? addresses : { ...addresses, admin: await bind(monitoring) };
      } catch (error) {
        await close(0);
        throw error;
      }
    },
  };
}

function createSecureServer(options: ServerOptions): Server {
  const server = createTlsServer({ ALPNProtocols: ['http/1.1'], ...options, ...HARDENING });
  server.on('tlsClientError', ({ message }, { remoteAddress = '' }) => {
    publish('notice', {
      level: 'debug',
      message: `TLS handshake failed: ${message}`,
      fields: { client: remoteAddress },
    });
  });
  return server;
}

async function bind([first, ...others]: AtLeastOne<Listener>): Promise<AtLeastOne<AddressInfo>> {
  const bound: [AddressInfo, ...AddressInfo[]] = [await first.listen()];
  for (const listener of others) bound.push(await listener.listen());
  return bound;
}

function each<One, Other>([first, ...others]: AtLeastOne<One>, make: (one: One) => Other): AtLeastOne<Other> {
  return [make(first), ...others.map(make)];
}
