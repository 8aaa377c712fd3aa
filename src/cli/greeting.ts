import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { Config } from '../config/config.ts';
import type { Greeting } from '../fleet/messages.ts';
import type { Layover } from '../main.ts';

const NOT_443 = `(clients ask for them on port 443 alone: forward it to the https port above, or let this start have it by
  sudo sysctl -w net.ipv4.ip_unprivileged_port_start=443)`;

/** What is told when requests are served, to people and to programs. */
export function greetingOf(config: Config, layover: Layover): Greeting {
  return { text: textOf(config, layover), json: describe(config, layover) };
}

/** `milliseconds` since the start. */
export function sayReady({ text, json }: Greeting, isJson: boolean, milliseconds: number, processes = 1): void {
  const readyAfter = Math.round(milliseconds);
  const several = processes > 1 && { processes };
  const these = several ? `${processes} processes are` : 'is';
  const line = isJson
    ? JSON.stringify({ ...json, readyAfter, ...several })
    : `layover ${these} ready after ${readyAfter} ms`;
  process.stdout.write(isJson ? `${line}\n` : `${line}\n${text}`);
}

function describe(config: Config, { addresses, root }: Layover): Greeting['json'] {
  return {
    https: authority(addresses.https[0]),
    http: authority(addresses.http[0]),
    ...(addresses.admin !== undefined && { admin: authority(addresses.admin[0]) }),
    ca: { file: join(config.certs.dir, 'ca.crt'), fingerprint: root.fingerprint },
  };
}

function textOf(config: Config, { addresses, root }: Layover): string {
  const { https, http, admin } = addresses;
  const presented = Object.values(config.upstreams).flatMap(({ hosts, authHosts }) => [...hosts, ...authHosts]);
  return `
  https  ${authorities(https)}  the registries' own names
  http   ${authorities(http)}  mirror and path; the root CA at /ca.crt
${admin === undefined ? '' : `  admin  ${authorities(admin)}  /livez /readyz /metrics\n`}  data   ${config.storage.root}
  CA     ${join(config.certs.dir, 'ca.crt')}
         SHA-256 ${root.fingerprint}

next: trust the CA on each client, then let these names lead to this machine (DNS or /etc/hosts):
  ${presented.join(' ')}
${https.some(({ port }) => port === 443) ? '' : `${NOT_443}\n`}or try it at once, with nothing set up:
  docker pull localhost:${http[0].port}/docker.io/library/alpine
how to, for each client: docs/clients.md
`;
}

function authorities(addresses: readonly AddressInfo[]): string {
  return addresses.map(authority).join(', ');
}

/** `host:port` as a URL spells it. */
function authority({ address, port }: AddressInfo): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}
