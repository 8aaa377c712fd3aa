import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';

/** What is said of a name: its IPv4 addresses, that it does not exist, that something is broken, or nothing at all. */
export type Word = readonly string[] | 'NXDOMAIN' | 'SERVFAIL' | 'silence';

const CODES: Readonly<Record<string, number>> = { SERVFAIL: 2, NXDOMAIN: 3 };
/** Type A of RFC 1035 §3.2.2. */
const ADDRESS = 1;

/** A name server (RFC 1035) on loopback, which may change its mind from one question to the next. */
export class NameServer implements AsyncDisposable {
  /** Names asked for an IPv4 address, in order. */
  readonly questions: string[] = [];
  readonly #socket: Socket = createSocket('udp4');
  readonly #answer: (name: string, asked: number) => Word;

  private constructor(answer: (name: string, asked: number) => Word) {
    this.#answer = answer;
    this.#socket.on('message', (query, { port, address }) => {
      const reply = this.#reply(query);
      if (reply !== undefined) this.#socket.send(reply, port, address);
    });
  }

  /** `answer` is given the name in lower case, and how often it was asked for before. */
  static async start(answer: (name: string, asked: number) => Word): Promise<NameServer> {
    const server = new NameServer(answer);
    server.#socket.bind(0, '127.0.0.1');
    await once(server.#socket, 'listening');
    return server;
  }

  /** As `dns.servers` wants it. */
  get authority(): string {
    return `127.0.0.1:${this.#socket.address().port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.close();
  }

  #reply(query: Buffer): Buffer | undefined {
    const [name, end] = nameIn(query);
    const isAddress = query.readUInt16BE(end) === ADDRESS;
    const asked = this.questions.filter((one) => one === name).length;
    if (isAddress) this.questions.push(name);
    const word = this.#answer(name, asked);
    if (word === 'silence') return undefined;
    const addresses = typeof word === 'string' || !isAddress ? [] : word;
    const head = Buffer.from(query.subarray(0, 12));
    // A response with recursion; the question, the answers, and nothing else.
    head.writeUInt16BE(0x8180 | (typeof word === 'string' ? (CODES[word] ?? 0) : 0), 2);
    head.writeUInt16BE(addresses.length, 6);
    head.writeUInt32BE(0, 8);
    return Buffer.concat([head, query.subarray(12, end + 4), ...addresses.map(record)]);
  }
}

function nameIn(query: Buffer): readonly [name: string, end: number] {
  const labels: string[] = [];
  let at = 12;
  for (let length = query.readUInt8(at); length > 0; length = query.readUInt8(at)) {
    labels.push(query.toString('latin1', at + 1, at + 1 + length));
    at += length + 1;
  }
  return [labels.join('.').toLowerCase(), at + 1];
}

/** An address of the name in the question, for no time at all. */
function record(address: string): Buffer {
  return Buffer.from([0xc0, 12, 0, ADDRESS, 0, 1, 0, 0, 0, 0, 0, 4, ...address.split('.').map(Number)]);
}
