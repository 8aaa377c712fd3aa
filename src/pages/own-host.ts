import { isIP } from 'node:net';

/** Top-level names that nobody on the internet can have: RFC 6761, 6762, 8375, and what is reserved for private use. */
const PRIVATE = /(?:^|\.)(?:localhost|local|lan|home|corp|internal|intranet|private|localdomain|home\.arpa|test)$/;

/**
 * Whether a page may be shown under a host name. A site on the internet can have its own name lead to us, and then read
 * with a visitor's browser what we answer under it; it cannot under an address, a name without dots or of a private
 * zone, or one of our own `names`.
 */
export function isOwnHost(host: string, names: readonly string[]): boolean {
  const bare = host.replace(/^\[|\]$/g, '');
  return (
    isIP(bare) !== 0 || !bare.includes('.') || PRIVATE.test(bare) || names.some((name) => name.toLowerCase() === bare)
  );
}
