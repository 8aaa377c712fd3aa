import { isIPv6 } from 'node:net';
import type { NetworkInterfaceInfo } from 'node:os';
import { scriptCommand } from '../setup/instructions.ts';
import { CLIENTS } from '../setup/recipe.ts';
import { quoted } from './install.ts';

/** What decides which commands help a person who has just started a gateway. */
export interface Start {
  /** How the command line is called here. */
  readonly program: string;
  /** The configuration file that was named, as it was. */
  readonly file: string | undefined;
  /** Host of the plain listener for this machine, and port. */
  readonly local: string;
  readonly port: number;
  /** Its host for other machines; absent where they do not reach it, `unknown` where they may. */
  readonly outside: { readonly host: string } | 'unknown' | undefined;
  /** Where the status page is, as a URL. */
  readonly page: string | undefined;
  /** An image that can be pulled by its path. */
  readonly image: string;
  /** SHA-256 of the root CA, as `AA:BB:…`. */
  readonly fingerprint: string;
}

/** What to type next, in lines that can be pasted. */
export function nextSteps(start: Start): string {
  const { program, file, local, port, page, image } = start;
  const named = file === undefined ? '' : ` --config ${quoted(file)}`;
  const others = CLIENTS.filter((client) => client !== 'docker').join(', ');
  return [
    'try it, with nothing set up:',
    `  docker pull ${urlHost(local)}:${port}/${image}`,
    `let docker here pull through it; without --apply this only prints what it would do (also: ${others}):`,
    `  sudo ${program} setup docker${named}`,
    ...elsewhere(start),
    ...(page === undefined ? [] : ['see what it does and what it has:', `  ${page}`]),
    'find out what is wrong:',
    `  ${program} doctor${named}`,
    '',
  ].join('\n');
}

function elsewhere({ outside, port, fingerprint }: Start): readonly string[] {
  if (outside === undefined) return [];
  const [host, remark] = outside === 'unknown' ? ['GATEWAY', ' (GATEWAY: a name of this one)'] : [outside.host, ''];
  const roots = [{ fingerprint, pem: '' }];
  const command = scriptCommand({ host: urlHost(host), port, address: host, registries: [], roots }, 'docker');
  return [`the same on another machine${remark}:`, `  ${command}`];
}

/** Networks between containers of this machine: nobody else reaches their addresses. */
const INNER = /^(?:docker|br-|veth|cni|flannel|virbr|podman|lxc)/;
const LINK_LOCAL = /^(?:169\.254\.|fe80:)/;

/** The address by which other machines most likely reach this one, IPv4 before IPv6. */
export function outsideAddress(interfaces: NodeJS.Dict<NetworkInterfaceInfo[]>): string | undefined {
  const addresses = Object.entries(interfaces).flatMap(([name, own]) => (INNER.test(name) ? [] : (own ?? [])));
  const outer = addresses.filter(({ internal, address }) => !internal && !LINK_LOCAL.test(address));
  return (outer.find(({ family }) => family === 'IPv4') ?? outer[0])?.address;
}

/** As URLs spell it. */
export function urlHost(host: string): string {
  return isIPv6(host) ? `[${host}]` : host;
}
