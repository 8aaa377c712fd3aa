import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import type { Duplex } from 'node:stream';

/** An HTTP proxy behind which every host name leads to one port of 127.0.0.1, as name resolution would do it. */
export class Tunnel implements AsyncDisposable {
  readonly url: string;
  readonly #server: Server;
  readonly #open: Set<Duplex>;

  private constructor(server: Server, open: Set<Duplex>) {
    this.#server = server;
    this.#open = open;
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  static async start(port: number): Promise<Tunnel> {
    const open = new Set<Duplex>();
    const server = createServer().on('connect', (_request, client, head) => {
      const target = connect(port, '127.0.0.1', () => {
        client.write('HTTP/1.1 200 Connection established\r\n\r\n');
        target.write(head);
        client.pipe(target).pipe(client);
      });
      for (const [end, other] of [
        [client, target],
        [target, client],
      ] as const) {
        open.add(end);
        end.on('error', () => {}).on('close', () => other.destroy());
      }
    });
    await once(server.listen(0, '127.0.0.1'), 'listening');
    return new Tunnel(server, open);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const end of this.#open) end.destroy();
    this.#server.close();
  }
}
