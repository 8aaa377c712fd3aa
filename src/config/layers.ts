import { isWildcard } from './lookup.ts';
import { byName, PRESETS, PUBLIC_REGISTRIES } from './presets.ts';

type Tree = Readonly<Record<string, unknown>>;

/** Whether `value` is a map of a configuration, as opposed to a list or a scalar. */
export function isTree(value: unknown): value is Tree {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The own value at `path`, or `undefined` when there is none. */
export function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>((at, key) => {
    if (typeof at !== 'object' || at === null || !Object.hasOwn(at, key)) return undefined;
    return (at as Record<PropertyKey, unknown>)[key];
  }, value);
}

/** `upper` over `lower`: maps merge per key, everything else replaces, what is absent above stands as below. */
export function overlay(lower: unknown, upper: unknown): unknown {
  if (upper === undefined) return lower;
  if (!isTree(lower) || !isTree(upper)) return upper;
  const merged: Record<string, unknown> = Object.create(null);
  Object.assign(merged, lower);
  for (const [key, value] of Object.entries(upper)) merged[key] = overlay(merged[key], value);
  return merged;
}

/** Every key outside `upstreams`, spelled as in a file. */
export const DEFAULTS: Tree = {
  processes: 1,
  listen: { https: '[::]:443', http: '[::]:5000', admin: '127.0.0.1:9464', proxies: [] },
  metrics: 'admin',
  page: 'public',
  names: ['gateway.lan'],
  certs: { dir: './certs', permit: PUBLIC_REGISTRIES },
  storage: { root: './data', size: '50g', reserve: '5g', evict: { high: 0.95, low: 0.85 }, keep: [] },
  dns: { servers: [], pins: {} },
  log: { level: 'info', access: { file: './logs/access.log', format: 'json', maxSize: '100m', keep: 5 } },
  mirror: { default: 'docker.io', read: 'anyone' },
  hosted: { repositories: [], push: 'none', read: 'anyone', delete: [] },
  users: {},
  grants: { offline: '24h' },
};

/** The keys of an upstream that do not depend on its namespace. */
const UPSTREAM: Tree = {
  authHosts: [],
  tokenHosts: [],
  blobHosts: [],
  tags: { ttl: '0s', staleOnError: '30d' },
  challenge: 'relay',
  parallel: 'off',
  deny: [],
  prefetch: 'off',
  complete: 'off',
};

/** The keys of an upstream that need not be written; what depends on the namespace is undefined. */
export const UPSTREAM_DEFAULTS: Tree = { hosts: undefined, urls: undefined, ...UPSTREAM };

/** The lowest layer, spelled as in a file: the defaults of every key, of every preset and of each upstream in `written`. */
export function defaultsFor(written: unknown): Tree {
  const upstreams: Record<string, unknown> = Object.create(null);
  const named = valueAt(written, ['upstreams']);
  for (const name of [...PRESETS.keys(), ...(isTree(named) ? Object.keys(named) : [])]) {
    const hosts = valueAt(named, [name, 'hosts']);
    const isTemplate = Array.isArray(hosts) && hosts.some((host) => typeof host === 'string' && isWildcard(host));
    const preset = PRESETS.get(name) ?? byName(name);
    upstreams[name] = { ...UPSTREAM, ...preset, ...(isTemplate && { urls: ['https://*'] }) };
  }
  return { ...DEFAULTS, upstreams };
}
