import { getServers } from 'node:dns';
import { readFileSync } from 'node:fs';

/** Where systemd-resolved writes the name servers that it asks itself. */
const BEHIND_RESOLVED = '/run/systemd/resolve/resolv.conf';

/**
 * The name servers of the system that do not read its hosts file. systemd-resolved does, and would send us to ourselves
 * where the hosts file sends registry names here: the servers behind it are asked instead.
 */
export function systemServers(system: readonly string[] = getServers(), file = BEHIND_RESOLVED): readonly string[] {
  if (!system.every(isLoopback)) return system;
  const behind = nameserversIn(file).filter((server) => !isLoopback(server));
  return behind.length > 0 ? behind : system;
}

function nameserversIn(file: string): string[] {
  try {
    const lines = readFileSync(file, 'utf8').matchAll(/^nameserver\s+(\S+)/gm);
    return [...lines].map(([, server = '']) => server.replace(/%.*$/, ''));
  } catch {
    return [];
  }
}

function isLoopback(server: string): boolean {
  return /^(?:127\.|\[?::1\]?(?::|$))/.test(server);
}
