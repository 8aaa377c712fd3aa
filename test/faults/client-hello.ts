import { connect } from 'node:net';

/** A ClientHello (RFC 8446 §4.1.2) whose server name is any bytes at all; without a name the extension is left out. */
export function clientHello(name: Buffer | undefined, random: Buffer): Buffer {
  const ciphers = Buffer.from([0x13, 0x01, 0x13, 0x03, 0xc0, 0x2b, 0xc0, 0x2c]);
  const extensions = Buffer.concat([
    ...(name === undefined ? [] : [extension(0, prefixed(Buffer.concat([Buffer.from([0]), prefixed(name, 2)]), 2))]),
    extension(10, prefixed(Buffer.from([0x00, 0x17, 0x00, 0x1d]), 2)),
    extension(11, prefixed(Buffer.from([0]), 1)),
    extension(13, prefixed(Buffer.from([0x04, 0x03, 0x08, 0x04]), 2)),
  ]);
  const body = Buffer.concat([
    Buffer.from([3, 3]),
    random.subarray(0, 32),
    Buffer.from([0]),
    prefixed(ciphers, 2),
    Buffer.from([1, 0]),
    prefixed(extensions, 2),
  ]);
  const handshake = Buffer.concat([Buffer.from([1]), prefixed(body, 3)]);
  return Buffer.concat([Buffer.from([22, 3, 1]), prefixed(handshake, 2)]);
}

function extension(type: number, content: Buffer): Buffer {
  return Buffer.concat([Buffer.from([type >> 8, type & 255]), prefixed(content, 2)]);
}

function prefixed(content: Buffer, width: 1 | 2 | 3): Buffer {
  const length = Buffer.alloc(width);
  length.writeUIntBE(content.length, 0, width);
  return Buffer.concat([length, content]);
}

/** What comes back first: `hello` is a certificate on its way, `refused` an alert or the end of the connection. */
export type FirstWord = 'hello' | 'refused' | 'silence';

/** Sends bytes to a TLS listener and tells its first word; waits so many milliseconds for it. */
export function firstWord(port: number, bytes: Buffer, patience: number): Promise<FirstWord> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port });
    const settle = (word: FirstWord): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(word);
    };
    const timer = setTimeout(() => settle('silence'), patience);
    socket.once('data', (chunk: Buffer) => settle(chunk[0] === 22 ? 'hello' : 'refused'));
    for (const event of ['end', 'error', 'close']) socket.once(event, () => settle('refused'));
    socket.write(bytes);
  });
}
