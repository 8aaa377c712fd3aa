const SIZE = 512 * 1024;
const KEPT = 32;

/** Buffers of 512 KiB that go round: a warm answer allocates nothing for its bytes, and asks for them in few reads. */
const free: Buffer[] = [];

export function takeBuffer(): Buffer {
  return free.pop() ?? Buffer.allocUnsafeSlow(SIZE);
}

/** Only for a buffer that neither the socket nor a running read still uses. */
export function giveBack(buffer: Buffer): void {
  if (free.length < KEPT) free.push(buffer);
}
