import { parseHost, parsePeer, parsePresentedHost } from '../config/grammar.ts';
import { PRESETS } from '../config/presets.ts';

/** A registry that another program was told to fetch from. */
export interface Remote {
  /** What this gateway calls it unless told otherwise. */
  readonly namespace: string;
  /** `host[:port]` as clients write it. */
  readonly peer: string;
  /** Its base URL, without path and credentials. */
  readonly url: string;
  /** What was left out of the address that was written. */
  readonly lost: 'none' | 'path' | 'credentials';
}

const DOCKER_HUB = [
  'docker.io',
  'index.docker.io',
  'registry-1.docker.io',
  'registry.hub.docker.com',
  'hub.docker.com',
];

/** The registry at an address such as `https://index.docker.io/v1/`; undefined when it is none. */
export function remoteAt(address: string): Remote | undefined {
  const url = URL.parse(/^[a-z]+:\/\//i.test(address) ? address : `https://${address}`);
  if (url === null || !/^https?:$/.test(url.protocol) || parsePeer(url.host) === undefined) return undefined;
  const hasCredentials = url.username !== '' || url.password !== '';
  const hasPath = !/^\/(?:v[12]\/?)?$/.test(url.pathname);
  const lost = hasCredentials ? 'credentials' : hasPath ? 'path' : 'none';
  if (DOCKER_HUB.includes(url.hostname))
    return { namespace: 'docker.io', peer: 'docker.io', url: 'https://registry-1.docker.io', lost };
  const namespace = parseHost(url.hostname) ?? url.hostname.replaceAll(/[^\w.-]+/g, '-').replaceAll(/^-|-$/g, '');
  return { namespace, peer: url.host, url: `${url.protocol}//${url.host}`, lost };
}

/** What has to be written for an upstream that is called `namespace`; `isPresented`: clients may know it by its own name. */
export function upstreamOf(namespace: string, remotes: readonly [Remote, ...Remote[]], isPresented: boolean) {
  const [first] = remotes;
  const [preset, theirs] = [PRESETS.get(namespace), PRESETS.get(first.namespace)];
  const hosts = theirs?.hosts ?? (parsePresentedHost(first.peer) === undefined ? [] : [first.peer]);
  const urls = [...new Set(remotes.map(({ url }) => url))];
  const isAtHome = urls.length === 1 && urls[0] === (preset?.urls?.[0] ?? `https://${namespace}`);
  const own = preset === undefined && isPresented;
  return {
    ...(!isPresented && { hosts: [], authHosts: [] }),
    ...(own && !(hosts.length === 1 && hosts[0] === namespace) && { hosts }),
    ...(own && theirs?.authHosts && { authHosts: theirs.authHosts }),
    ...(preset === undefined && theirs?.tokenHosts && { tokenHosts: theirs.tokenHosts }),
    ...(!isAtHome && { urls }),
  };
}

/** The presets that nothing was written for, removed: what was closed before is not opened. */
export function withoutOthers(namespaces: Iterable<string>): Readonly<Record<string, null>> {
  const kept = new Set(namespaces);
  return Object.fromEntries([...PRESETS.keys()].filter((name) => !kept.has(name)).map((name) => [name, null]));
}
