import { isIPv6 } from 'node:net';
import { admission } from '../config/admission.ts';
import type { Config } from '../config/config.ts';
import { isWildcard, presentedHosts } from '../config/lookup.ts';

/** PEM of a certificate and its key, as nginx finds them: absolute paths, or relative to nginx.conf. */
export interface CertificateFiles {
  readonly chain: string;
  readonly key: string;
}

/** What nginx has to know to stand in front of a gateway. */
export interface Front {
  /** `host:port` of the plain listener. */
  readonly gateway: string;
  /** Each with the host names and addresses that it answers for; none twice. */
  readonly servers: readonly (CertificateFiles & { readonly names: readonly string[] })[];
  /** What a host, or what a wildcard stands for, is called in the log; `undefined`: by its own name. */
  readonly subpaths: ReadonlyMap<string, string | undefined>;
}

/** The file that `layover nginx-compat certificate` writes, beside nginx.conf. */
const OWN_CERTIFICATE: CertificateFiles = { chain: 'layover.pem', key: 'layover.pem' };

/** Every name that nginx answers for; `isBrought` tells those that a certificate made elsewhere is for. */
export function namesOf(
  config: Pick<Config, 'names' | 'upstreams'>,
  isBrought: (name: string) => boolean,
): { readonly own: readonly string[]; readonly brought: readonly string[] } {
  const names = [...new Set([...presentedHosts(config).keys(), ...config.names])].sort();
  return { own: names.filter((name) => !isBrought(name)), brought: names.filter(isBrought) };
}

/** Throws when nobody could know the port of the plain listener beforehand. */
export function frontOf(
  config: Pick<Config, 'names' | 'upstreams' | 'listen' | 'certs'>,
  isBrought: (name: string) => boolean,
): Front {
  const { own, brought } = namesOf(config, isBrought);
  const servers = [
    { ...OWN_CERTIFICATE, names: own },
    ...(config.certs.brought === undefined ? [] : [{ ...config.certs.brought, names: brought }]),
  ];
  const called = [...presentedHosts(config)].map(
    ([host, { upstream }]) => [host, upstream.alias ?? (isWildcard(host) ? undefined : upstream.name)] as const,
  );
  return {
    gateway: gatewayOf(config),
    servers: servers.filter(({ names }) => names.length > 0),
    subpaths: new Map(called.sort(([one], [other]) => (one < other ? -1 : 1))),
  };
}

/** Why nginx on this machine would not be believed, in words; `undefined` when it is. */
export function remarkOn({ listen }: Pick<Config, 'listen'>): string | undefined {
  const { host } = listen.http[0];
  const address = isEverywhere(host) || host === 'localhost' ? '127.0.0.1' : host;
  if (admission(listen.proxies)(address)) return undefined;
  const written = isIPv6(address) ? `"${address}"` : address;
  return (
    `listen.proxies does not list ${address}: registries' names from nginx on this machine will be answered by 421. ` +
    `Write listen: { proxies: [${written}] }, or the address that nginx connects from`
  );
}

function gatewayOf({ listen }: Pick<Config, 'listen'>): string {
  const { host, port } = listen.http[0];
  if (port === 0)
    throw new Error('listen.http has port 0, another one at each start: write the port that nginx is to use');
  if (isEverywhere(host)) return `127.0.0.1:${port}`;
  return `${isIPv6(host) ? `[${host}]` : host}:${port}`;
}

function isEverywhere(host: string): boolean {
  return host === '::' || host === '0.0.0.0';
}
