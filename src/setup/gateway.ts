import { X509Certificate } from 'node:crypto';
import type { Config, UpstreamConfig } from '../config/config.ts';
import { isWildcard } from '../config/lookup.ts';

/** A registry as clients name it. */
export interface Registry {
  /** What stands in front of an image's name: `docker.io`. */
  readonly name: string;
  /** What the gateway calls it in paths. */
  readonly namespace: string;
  /** Base URL of the registry itself, which clients ask when the gateway does not answer. */
  readonly server: string;
  /** Every host name that it is spoken to by, token servers included. */
  readonly hosts: readonly string[];
}

/** A root certificate that clients are to trust. */
export interface Root {
  /** SHA-256 as `AA:BB:…`. */
  readonly fingerprint: string;
  readonly pem: string;
}

/** What clients have to know of a gateway. */
export interface Gateway {
  /** Name or address of its plain listener, as URLs spell it. */
  readonly host: string;
  readonly port: number;
  /** The address that registries' names are to lead to. */
  readonly address: string;
  readonly registries: readonly Registry[];
  /** One setting for all registries there are, where a client knows that, instead of one for each that is configured. */
  readonly isDefault?: boolean;
  readonly roots: readonly Root[];
}

const HUB = 'docker.io';

/** The configured registries that images can be named after; wildcards are none, for nobody can list what they stand for. */
export function registriesOf({ upstreams }: Pick<Config, 'upstreams'>): readonly Registry[] {
  return Object.values(upstreams).flatMap((upstream) => {
    const hosts = upstream.hosts.filter((host) => !isWildcard(host));
    // Docker Hub has several names, and images are named after one of them.
    if (hosts.includes(HUB)) return [registryAt(upstream, HUB, [...hosts, ...upstream.authHosts])];
    return hosts.map((host, index) => registryAt(upstream, host, [host, ...(index === 0 ? upstream.authHosts : [])]));
  });
}

function registryAt({ name: namespace, urls }: UpstreamConfig, name: string, hosts: readonly string[]): Registry {
  const own = name === HUB ? 'registry-1.docker.io' : name;
  const server = urls.find(({ hostname }) => hostname === own)?.origin ?? `https://${own}`;
  return { name, namespace, server, hosts };
}

/** `host:port` of the plain listener. */
export function authorityOf({ host, port }: Pick<Gateway, 'host' | 'port'>): string {
  return `${host}:${port}`;
}

/** Base URL of the plain listener. */
export function urlOf(gateway: Pick<Gateway, 'host' | 'port'>): string {
  return `http://${authorityOf(gateway)}`;
}

/** The file name of a root in directories that hold many; it follows the certificate, so that the next root does not overwrite the one that serves. */
export function rootFileName({ fingerprint }: Pick<Root, 'fingerprint'>): string {
  return `layover-${fingerprint.replaceAll(':', '').slice(0, 8).toLowerCase()}.crt`;
}

/** The roots in a text of PEM, each written anew, since it may come from a system with other ends of lines. */
export function rootsIn(text: string): readonly Root[] {
  return (text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []).map((pem) => {
    const certificate = new X509Certificate(pem);
    return { fingerprint: certificate.fingerprint256, pem: certificate.toString() };
  });
}
