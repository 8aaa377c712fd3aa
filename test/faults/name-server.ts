import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { isIPv6 } from 'node:net';

/** What is said of a name: its addresses, that it does not exist, that something is broken, or nothing at all. */
export type Word = readonly string[] | 'NXDOMAIN' | 'SERVFAIL' | 'silence';

const CODES: Readonly<Record<string, number>> = { SERVFAIL: 2, NXDOMAIN: 3 };
/** Types A and AAAA (RFC 1035 §3.2.2, RFC 3596 §2.1). */
const ADDRESS = 1;
const IPV6_ADDRESS = 28;

/** A name server (RFC 1035) on loopback, which may change its mind from one question to the next. */
export class NameServer implements AsyncDisposable {
  /** Names asked for an IPv4 address, in order. */
  readonly questions: string[] = [];
  /** Every name asked for anything. */
  readonly names = new Set<string>();
  readonly #socket: Socket = createSocket('udp4');
  readonly #answer: (name: string, asked: number) => Word;

  private constructor(answer: (name: string, asked: number) => Word) {
    this.#answer = answer;
    this.#socket.on('message', (query, { port, address }) => {
      const reply = this.#reply(query);
      if (reply !== undefined) this.#socket.send(reply, port, address);
    });
  }

  /** `answer` is given the name in lower case, and how often it was asked for before; `port` 0: any. */
  static async start(answer: (name: string, asked: number) => Word, port = 0): Promise<NameServer> {
    const server = new NameServer(answer);
    server.#socket.bind(port, '127.0.0.1');
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
    const type = query.readUInt16BE(end);
    const isAddress = type === ADDRESS;
    this.names.add(name);
    const asked = this.questions.filter((one) => one === name).length;
    if (isAddress) this.questions.push(name);
    const word = this.#answer(name, asked);
    if (word === 'silence') return undefined;
    const addresses = typeof word === 'string' ? [] : word.filter((address) => typeOf(address) === type);
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

function typeOf(address: string): number {
  return isIPv6(address) ? IPV6_ADDRESS : ADDRESS;
}

/** An address of the name in the question, for no time at all. */
function record(address: string): Buffer {
  const bytes = isIPv6(address) ? bytesOfIPv6(address) : Buffer.from(address.split('.').map(Number));
  return Buffer.concat([Buffer.from([0xc0, 12, 0, typeOf(address), 0, 1, 0, 0, 0, 0, 0, bytes.length]), bytes]);
}

function bytesOfIPv6(address: string): Buffer {
  const [head = [], tail = []] = address.split('::').map((half) => half.split(':').filter((group) => group !== ''));
  const middle = Array.from({ length: 8 - head.length - tail.length }, () => '0');
  return Buffer.from([...head, ...middle, ...tail].map((group) => group.padStart(4, '0')).join(''), 'hex');
}
