import { matchesPattern } from '../oci/name.ts';
import type { AccountConfig, Config, UpstreamConfig } from './config.ts';

/** What a host name means on the transparent door; `auth`: it only issues tokens. */
export interface PresentedHost {
  readonly upstream: UpstreamConfig;
  readonly auth: boolean;
}

/** Every presented host, in lower case and without port. */
export function presentedHosts({ upstreams }: Pick<Config, 'upstreams'>): ReadonlyMap<string, PresentedHost> {
  const presented = new Map<string, PresentedHost>();
  for (const upstream of Object.values(upstreams)) {
    for (const host of upstream.authHosts) presented.set(host, { upstream, auth: true });
    for (const host of upstream.hosts) presented.set(host, { upstream, auth: false });
  }
  return presented;
}

/** The account of ours that is for a repository of an upstream. */
export function accountFor(
  { credentials }: Pick<UpstreamConfig, 'credentials'>,
  repository: string,
): AccountConfig | undefined {
  return credentials.find(
    ({ repositories }) => repositories?.some((pattern) => matchesPattern(pattern, repository)) ?? true,
  );
}
