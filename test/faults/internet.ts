import { once } from 'node:events';
import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { text } from 'node:stream/consumers';
import { createAuthority } from '../support/pki.ts';
import { execute } from './namespace.ts';

/** A request as some host of the internet saw it. */
export interface Sighting {
  /** Of the Host field, lower case. */
  readonly host: string;
  /** That was connected to. */
  readonly address: string;
  readonly port: number;
  readonly encrypted: boolean;
  readonly method: string;
  readonly url: string;
  readonly authorization: string;
  readonly body: string;
}

/** Every host there is, each address and port of them, in a network namespace: whatever is asked for is seen. */
export class Internet implements AsyncDisposable {
  readonly sightings: Sighting[] = [];
  readonly ca: string;
  readonly #servers: readonly Server[];

  private constructor(names: readonly string[], answer: (seen: Sighting, response: ServerResponse) => void) {
    const authority = createAuthority();
    this.ca = authority.ca;
    const listener: RequestListener = (request, response) => void this.#see(request, response, answer);
    const tls = authority.issue(names);
    this.#servers = [createTlsServer(tls, listener), createTlsServer(tls, listener), createServer(listener)];
  }

  static async start(
    names: readonly string[],
    addresses: readonly string[],
    answer: (seen: Sighting, response: ServerResponse) => void,
  ): Promise<Internet> {
    for (const address of addresses) {
      // One that is there already serves as well.
      await execute('ip', ['address', 'add', `${address}/32`, 'dev', 'lo']).catch(() => undefined);
    }
    const internet = new Internet(names, answer);
    for (const [index, port] of [443, 8443, 80].entries()) {
      const server = internet.#servers[index];
      server?.listen(port, '::');
      if (server !== undefined) await once(server, 'listening');
    }
    return internet;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const server of this.#servers) {
      server.close();
      server.closeAllConnections();
    }
  }

  async #see(
    request: IncomingMessage,
    response: ServerResponse,
    answer: (seen: Sighting, response: ServerResponse) => void,
  ): Promise<void> {
    const { socket, headers, method = '', url = '' } = request;
    const seen: Sighting = {
      host: (headers.host ?? '').toLowerCase(),
      address: (socket.localAddress ?? '').replace('::ffff:', ''),
      port: socket.localPort ?? 0,
      encrypted: 'encrypted' in socket,
      method,
      url,
      authorization: headers.authorization ?? '',
      body: await text(request),
    };
    this.sightings.push(seen);
    answer(seen, response);
  }
}
