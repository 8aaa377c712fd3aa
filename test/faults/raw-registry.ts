import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';

/** A request as it came over the wire. */
export interface RawRequest {
  readonly method: string;
  readonly target: string;
  /** Everything up to the empty line. */
  readonly head: string;
  readonly body: string;
  readonly socket: Socket;
}

/**
 * A registry down to the bytes: it records what it is asked, takes offence at everything that two readers could take
 * for two things, and answers whatever it is told to.
 */
export class RawRegistry implements AsyncDisposable {
  readonly requests: RawRequest[] = [];
  /** What was wrong with what it received. */
  readonly oddities: string[] = [];
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(answer: (request: RawRequest) => void, greet: (socket: Socket) => void) {
    this.#server = createServer((socket) => {
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
      socket.on('error', () => undefined);
      greet(socket);
      let received = '';
      socket.setEncoding('latin1');
      socket.on('data', (chunk: string) => {
        received += chunk;
        for (let next = this.#take(received, socket); next !== undefined; next = this.#take(received, socket)) {
          received = received.slice(next.length);
          this.requests.push(next.request);
          answer(next.request);
        }
      });
    });
  }

  static async start(
    answer: (request: RawRequest) => void,
    greet: (socket: Socket) => void = () => undefined,
  ): Promise<RawRegistry> {
    const registry = new RawRegistry(answer, greet);
    registry.#server.listen(0, '127.0.0.1');
    await once(registry.#server, 'listening');
    return registry;
  }

  get authority(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Ends the connections that are kept open for later. */
  hangUp(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close();
    this.hangUp();
  }

  #take(text: string, socket: Socket): { readonly request: RawRequest; readonly length: number } | undefined {
    const end = text.indexOf('\r\n\r\n');
    if (end < 0) return undefined;
    const head = text.slice(0, end);
    const [line = '', ...fields] = head.split('\r\n');
    const [, method = '', target = ''] = /^([A-Z]+) (\S+) HTTP\/1\.1$/.exec(line) ?? [];
    if (method === '') this.#odd(`a request line ${JSON.stringify(line)}`);
    for (const field of fields) {
      if (!/^[\w!#$%&'*+.^`|~-]+:[ \t\x21-\x7e\x80-\xff]*$/.test(field)) this.#odd(`a field ${JSON.stringify(field)}`);
    }
    const body = this.#body(text.slice(end + 4), fields);
    if (body === undefined) return undefined;
    return { request: { method, target, head, body: body.text, socket }, length: end + 4 + body.length };
  }

  #body(rest: string, fields: readonly string[]): { readonly text: string; readonly length: number } | undefined {
    const lengths = valuesOf(fields, 'content-length');
    const codings = valuesOf(fields, 'transfer-encoding');
    if (lengths.length + codings.length > 1) this.#odd(`two lengths: ${[...lengths, ...codings].join(' and ')}`);
    if (codings.length > 0) {
      if (codings[0] !== 'chunked') this.#odd(`the transfer coding ${codings[0]}`);
      return this.#chunks(rest);
    }
    const [length = '0'] = lengths;
    if (!/^\d+$/.test(length)) this.#odd(`the length ${length}`);
    const size = Number(length);
    return rest.length < size ? undefined : { text: rest.slice(0, size), length: size };
  }

  #chunks(rest: string): { readonly text: string; readonly length: number } | undefined {
    let [text, at] = ['', 0];
    for (;;) {
      const line = rest.indexOf('\r\n', at);
      if (line < 0) return undefined;
      const size = rest.slice(at, line);
      if (!/^[0-9a-fA-F]+$/.test(size)) this.#odd(`a chunk of size ${JSON.stringify(size)}`);
      const length = Number.parseInt(size, 16);
      const next = line + 2 + length + 2;
      if (rest.length < next) return undefined;
      if (rest.slice(next - 2, next) !== '\r\n') this.#odd('a chunk without an end, or a trailer');
      text += rest.slice(line + 2, next - 2);
      at = next;
      if (length === 0) return { text, length: at };
    }
  }

  #odd(what: string): void {
    this.oddities.push(what);
  }
}

function valuesOf(fields: readonly string[], name: string): string[] {
  return fields.flatMap((field) => {
    const at = field.indexOf(':');
    return field.slice(0, at).toLowerCase() === name ? [field.slice(at + 1).trim()] : [];
  });
}
