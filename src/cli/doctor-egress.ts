import type { X509Certificate } from 'node:crypto';
import type { Config, UpstreamConfig } from '../config/config.ts';
import { isWildcard } from '../config/lookup.ts';
import type { UpstreamFacts } from '../doctor/upstreams.ts';
import { probeUpstream, unaskedUpstream } from '../doctor/upstreams-probe.ts';
import { isOwnAddress } from '../main/own-address.ts';
import { readFiles, Upstreams } from '../main/upstreams.ts';
import { createNetwork } from '../upstream/network.ts';
import { Proxies, proxyFromEnvironment } from '../upstream/proxy.ts';

/** Asks every upstream at once, on the gateway's own way out; wildcards stand for registries that nobody knows. */
export async function askUpstreams(
  config: Config,
  env: NodeJS.ProcessEnv,
  roots: readonly X509Certificate[],
): Promise<readonly UpstreamFacts[]> {
  const doors = [...config.listen.https, ...config.listen.http];
  const ports = doors.flatMap(({ port, fallbackPort = port }) => [port, fallbackPort]);
  const proxy = proxyFromEnvironment(env);
  const network = createNetwork({
    ...config.dns,
    proxy,
    isOwnListener: (address, port) => ports.includes(port) && isOwnAddress(address),
  });
  const proxies = new Proxies(proxy);
  const ask = async (upstream: UpstreamConfig): Promise<UpstreamFacts> => {
    try {
      const files = await readFiles([upstream]);
      await using upstreams = new Upstreams(config, files, network);
      return await probeUpstream(upstream, { network, proxies, roots, open: (name) => upstreams.get(name) });
    } catch (error) {
      return unaskedUpstream(upstream, error);
    }
  };
  return Promise.all(
    Object.values(config.upstreams)
      .filter(({ hosts }) => !hosts.some(isWildcard))
      .map(ask),
  );
}
