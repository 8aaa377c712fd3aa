import type { IncomingMessage } from 'node:http';
import { isIP } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { linesOf } from './request-head.ts';

/** Where a request came in, and from whom. */
export interface Arrival {
  readonly listener: 'https' | 'http';
  /** Server name of the TLS handshake. */
  readonly sni?: string;
  /** Every Host field of the request. */
  readonly hosts: readonly string[];
  /** Set when a proxy that is believed passed the request on: how its client called it, as far as it says so. */
  readonly proxied?: { readonly scheme?: 'https' | 'http'; readonly hosts: readonly string[] };
}

export interface Arrived extends Arrival {
  /** IP address. */
  readonly client: string;
}

/** Tells whether what a proxy at this address says of its clients is believed. */
export type Believes = (address: string | undefined) => boolean;

/**
 * Reads where a request came in, and from whom. What `X-Forwarded-For`, `-Host` and `-Proto` say counts on the plain
 * listener, from a proxy that is believed; from anybody else they say nothing.
 */
export function arrivalOf(
  listener: Arrival['listener'],
  { rawHeaders, socket }: Pick<IncomingMessage, 'rawHeaders' | 'socket'>,
  believes: Believes,
): Arrived {
  const client = unmapped(socket.remoteAddress ?? '');
  const hosts = linesOf(rawHeaders, 'host');
  if (listener === 'https') {
    const { servername } = socket as Partial<TLSSocket>;
    const isNamed = typeof servername === 'string' && servername !== '';
    return { listener, client, hosts, ...(isNamed && { sni: servername }) };
  }
  if (!believes(client)) return { listener, client, hosts };
  const scheme = linesOf(rawHeaders, 'x-forwarded-proto').join().toLowerCase();
  return {
    listener,
    client: clientBehind(client, linesOf(rawHeaders, 'x-forwarded-for'), believes),
    hosts,
    proxied: {
      ...((scheme === 'https' || scheme === 'http') && { scheme }),
      hosts: linesOf(rawHeaders, 'x-forwarded-host'),
    },
  };
}

/** The last address that a believed proxy wrote and that is none of one: what stands before it may be invented. */
function clientBehind(proxy: string, lines: readonly string[], believes: Believes): string {
  let client = proxy;
  for (const hop of lines.join().split(',').reverse()) {
    const address = unmapped(hop.trim());
    if (!believes(client) || isIP(address) === 0) break;
    client = address;
  }
  return client;
}

/** An IPv4 address that came mapped into IPv6, as itself. */
function unmapped(address: string): string {
  return address.replace(/^::ffff:(?=\d+\.)/i, '');
}
