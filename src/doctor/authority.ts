import { isIP } from 'node:net';

/** `host:port`, as a URL spells it. */
export function authorityOf(host: string, port: number): string {
  return isIP(host) === 6 ? `[${host}]:${port}` : `${host}:${port}`;
}
