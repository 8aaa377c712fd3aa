import type { Config, UpstreamConfig } from './config.ts';
import { isTree } from './layers.ts';
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

/**
 * The part of `next` that can replace what runs; the rest of `running` stands until a restart: what is outside
 * `upstreams` but for two keys, upstreams that come or go, and those that want a host which is not free before.
 */
export function reload(running: Config, next: Config): Reload {
  const upstreams = Object.create(null) as Record<string, UpstreamConfig>;
  const kept = Object.values(running.upstreams).filter(({ name }) => next.upstreams[name] === undefined);
  const taken = new Set([...running.names, ...kept.flatMap(presented)]);
  const pairs = Object.values(running.upstreams).map(
    (before) => [before, next.upstreams[before.name] ?? before] as const,
  );
  const areFree = pairs.every(
    ([before, after]) => before === after || !presented(after).some((host) => taken.has(host)),
  );
  for (const [before, after] of pairs) {
    const isReady = areFree || String(presented(before)) === String(presented(after));
    upstreams[before.name] = isReady ? withAlias(after, before.alias) : before;
  }
  const log = { ...running.log, level: next.log.level };
  const config = { ...running, log, grants: next.grants, upstreams };
  return { config, applied: differences(running, config, []), pending: differences(config, next, []) };
}

function presented({ hosts, authHosts }: UpstreamConfig): readonly string[] {
  return [...hosts, ...authHosts];
}

/** Logs know upstreams by the aliases of the start. */
function withAlias({ alias: _, ...upstream }: UpstreamConfig, alias: string | undefined): UpstreamConfig {
  return alias === undefined ? upstream : { ...upstream, alias };
}

function differences(one: unknown, other: unknown, path: Path): string[] {
  if (!isTree(one) || !isTree(other)) {
    return JSON.stringify(one) === JSON.stringify(other) ? [] : [formatPath(path)];
  }
  const keys = new Set([...Object.keys(one), ...Object.keys(other)]);
  return [...keys].flatMap((key) => differences(one[key], other[key], [...path, key]));
}
