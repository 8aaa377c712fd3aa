import type { Config } from './config.ts';

const ADDRESS = /^[\d.]+$|:/;

/** Where the root CA lies; one that is made vouches for everything configured and for the published registries. */
export function rootOptions({ certs, names, upstreams }: Config): {
  readonly dir: string;
  readonly permittedDns: readonly string[];
  readonly permittedIps: readonly string[];
} {
  const presented = Object.values(upstreams).flatMap((upstream) => [...upstream.hosts, ...upstream.authHosts]);
  // A root vouches for the names below each of these as well.
  const hosts = presented.map((host) => host.replace('*.', ''));
  const dns = [...certs.permit, ...hosts, ...names.filter((name) => !ADDRESS.test(name)), 'localhost'];
  return { dir: certs.dir, permittedDns: [...new Set(dns)], permittedIps: names.filter((name) => ADDRESS.test(name)) };
}
