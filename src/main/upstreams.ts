import { readFile } from 'node:fs/promises';
import type { Config } from '../config/config.ts';
import type { Network } from '../upstream/network.ts';
import { Upstream } from '../upstream/upstream.ts';

/** PEM certificates trusted for an upstream beside the system's, by its namespace. */
export async function readAuthorities({ upstreams }: Config): Promise<ReadonlyMap<string, string>> {
  const authorities = new Map<string, string>();
  for (const { name, ca } of Object.values(upstreams)) {
    if (ca !== undefined) authorities.set(name, await readFile(ca, 'utf8'));
  }
  return authorities;
}

/** Every configured upstream by its namespace. */
export async function openUpstreams(
  config: Config,
  authorities: ReadonlyMap<string, string>,
  network: Network,
): Promise<Map<string, Upstream>> {
  const upstreams = new Map<string, Upstream>();
  for (const upstream of Object.values(config.upstreams)) {
    const { name, hosts, urls, credentials, tokenHosts, blobHosts } = upstream;
    const ca = authorities.get(name);
    const account = credentials && {
      username: credentials.username,
      password: (await readFile(credentials.passwordFile, 'utf8')).trim(),
    };
    const options = {
      name,
      hosts,
      urls,
      tokenHosts,
      blobHosts,
      ...(ca !== undefined && { ca }),
      ...(account && { credentials: account }),
    };
    upstreams.set(name, new Upstream(options, network));
  }
  return upstreams;
}
