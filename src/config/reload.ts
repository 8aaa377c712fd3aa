import type { Config, UpstreamConfig } from './config.ts';
import { isTree } from './layers.ts';
import { isWildcard } from './lookup.ts';
import { formatPath, type Path } from './path.ts';

/** What became of a configuration that was read again. */
export interface Reload {
  /** What holds from now on. */
  readonly config: Config;
  /** Paths of the keys that took effect. */
  readonly applied: readonly string[];
  /** Paths of the keys that differ and wait for a restart. */
  readonly pending: readonly string[];
}

/** The part of `next` that can replace what runs; the rest of `running` stands until a restart. */
export function reload(running: Config, next: Config): Reload {
  const upstreams = Object.create(null) as Record<string, UpstreamConfig>;
  const kept = Object.values(running.upstreams).filter(({ name }) => next.upstreams[name] === undefined);
  const taken = new Set([...running.names, ...kept.flatMap(({ hosts, authHosts }) => [...hosts, ...authHosts])]);
  for (const [name, upstream] of Object.entries(running.upstreams)) {
    const changed = next.upstreams[name];
    upstreams[name] =
      changed === undefined ? upstream : reloadUpstream(upstream, withFreeHosts(upstream, changed, taken));
  }
  const log = { ...running.log, level: next.log.level };
  const config = { ...running, log, grants: next.grants, upstreams };
  return { config, applied: differences(running, config, []), pending: differences(config, next, []) };
}

const RELOADED: ReadonlySet<string> = new Set<keyof UpstreamConfig>([
  'hosts',
  'tags',
  'challenge',
  'allow',
  'deny',
  'credentials',
  'clientCert',
  'limit',
]);

/** Hosts that somebody still has until a restart cannot be had before, and a wildcard needs other URLs. */
function withFreeHosts(running: UpstreamConfig, next: UpstreamConfig, taken: ReadonlySet<string>): UpstreamConfig {
  const isFree = next.hosts.every((host) => !taken.has(host) && !running.authHosts.includes(host));
  const isAlike = next.hosts.some(isWildcard) === running.hosts.some(isWildcard);
  return isFree && isAlike ? next : { ...next, hosts: running.hosts };
}

function reloadUpstream(running: UpstreamConfig, next: UpstreamConfig): UpstreamConfig {
  const taken = Object.entries(next).filter(([key]) => RELOADED.has(key));
  const entries = Object.entries({ ...running, ...Object.fromEntries(taken) });
  return Object.fromEntries(entries.filter(([key]) => !RELOADED.has(key) || key in next)) as unknown as UpstreamConfig;
}

function differences(one: unknown, other: unknown, path: Path): string[] {
  if (!isTree(one) || !isTree(other)) {
    return JSON.stringify(one) === JSON.stringify(other) ? [] : [formatPath(path)];
  }
  const keys = new Set([...Object.keys(one), ...Object.keys(other)]);
  return [...keys].flatMap((key) => differences(one[key], other[key], [...path, key]));
}
