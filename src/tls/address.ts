import { isIP } from 'node:net';

/** The 4 or 16 bytes of an IP address; `undefined` for anything else, zone indexes included. */
export function addressBytes(text: string): Buffer | undefined {
  const family = text.includes('%') ? 0 : isIP(text);
  if (family === 4) return Buffer.from(text.split('.').map(Number));
  if (family !== 6) return undefined;
  // The URL parser spells every IPv6 address in one way (RFC 5952) and without a dotted tail.
  const [head = '', tail] = new URL(`http://[${text}]`).hostname.slice(1, -1).split('::');
  const groups = (part: string) => (part === '' ? [] : part.split(':').map((group) => Number.parseInt(group, 16)));
  const front = groups(head);
  const back = groups(tail ?? '');
  const words = [...front, ...new Array<number>(8 - front.length - back.length).fill(0), ...back];
  return Buffer.from(words.flatMap((word) => [word >> 8, word & 0xff]));
}

/** The canonical text of 4 or 16 address bytes. */
export function addressText(bytes: Buffer): string {
  if (bytes.length === 4) return bytes.join('.');
  const groups = Array.from({ length: 8 }, (_, index) => bytes.readUInt16BE(index * 2).toString(16));
  return new URL(`http://[${groups.join(':')}]`).hostname.slice(1, -1);
}
