import { existsSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import type { Config } from '../config/config.ts';
import type { Greeting } from '../fleet/messages.ts';
import type { Layover } from '../main.ts';
import { nextSteps, outsideAddress, type Start, urlHost } from './next-steps.ts';
import { programName } from './program.ts';

/** The default, which nobody has made known, and what means another machine on each. */
const NO_HELP = ['gateway.lan', 'localhost'];
const ROOT = join(import.meta.dirname, '..', '..');

const NOT_443 = `         clients ask for those names on port 443 alone: forward it to this port, or let the next start have it by
         sudo sysctl -w net.ipv4.ip_unprivileged_port_start=443
`;

/** What is told when requests are served, to people and to programs; `file` is the configuration that was named. */
export function greetingOf(config: Config, layover: Layover, file: string | undefined): Greeting {
  return { text: textOf(config, layover, file), json: describe(config, layover) };
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

function textOf(config: Config, { addresses, root }: Layover, file: string | undefined): string {
  const { https, http, admin } = addresses;
  return `
  https  ${authorities(https)}  the registries' own names
${https.some(({ port }) => port === 443) ? '' : NOT_443}  http   ${authorities(http)}  mirror and path; status and setup at /, the root CA at /ca.crt
${admin === undefined ? '' : `  admin  ${authorities(admin)}  /livez /readyz /metrics\n`}  data   ${config.storage.root}
  CA     ${join(config.certs.dir, 'ca.crt')}
         SHA-256 ${root.fingerprint}

${nextSteps(startOf(config, addresses, root.fingerprint, file))}`;
}

function startOf(
  { names, page, upstreams }: Config,
  { http: [http], admin }: Layover['addresses'],
  fingerprint: string,
  file: string | undefined,
): Start {
  const local = isEverywhere(http) || isLoopback(http) ? 'localhost' : http.address;
  const outside = outsideOf(http, names);
  const host = typeof outside === 'object' ? outside.host : local;
  const pages = { public: `${urlHost(host)}:${http.port}`, admin: admin && authority(admin[0]), off: undefined }[page];
  const [first] = Object.keys(upstreams);
  return {
    program: programName({ root: ROOT, cwd: process.cwd(), path: process.env.PATH ?? '', has: existsSync }),
    file,
    local,
    port: http.port,
    outside,
    page: pages && `http://${pages}/`,
    image: 'docker.io' in upstreams ? 'docker.io/library/alpine' : `${first}/REPOSITORY`,
    fingerprint,
  };
}

function outsideOf(http: AddressInfo, names: readonly string[]): Start['outside'] {
  if (isLoopback(http)) return undefined;
  if (!isEverywhere(http)) return { host: http.address };
  const host =
    names.find((name) => !NO_HELP.includes(name)) ??
    (isInContainer() ? undefined : outsideAddress(networkInterfaces()));
  return host === undefined ? 'unknown' : { host };
}

function isEverywhere({ address }: AddressInfo): boolean {
  return address === '::' || address === '0.0.0.0';
}

function isLoopback({ address }: AddressInfo): boolean {
  return address === '::1' || address.startsWith('127.');
}

/** There the addresses of other machines are unknown. */
function isInContainer(): boolean {
  return (
    existsSync('/.dockerenv') || existsSync('/run/.containerenv') || process.env.KUBERNETES_SERVICE_HOST !== undefined
  );
}

function authorities(addresses: readonly AddressInfo[]): string {
  return addresses.map(authority).join(', ');
}

/** `host:port` as a URL spells it. */
function authority({ address, port }: AddressInfo): string {
  return `${urlHost(address)}:${port}`;
}
