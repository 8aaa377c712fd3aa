const SIZE = 256 * 1024;
const KEPT = 64;

/** Buffers of 256 KiB that go round: a warm answer allocates nothing for its bytes. */
const free: Buffer[] = [];

export function takeBuffer(): Buffer {
  return free.pop() ?? Buffer.allocUnsafeSlow(SIZE);
}

/** Only for a buffer that neither the socket nor a running read still uses. */
export function giveBack(buffer: Buffer): void {
  if (free.length < KEPT) free.push(buffer);
}
