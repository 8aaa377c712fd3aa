import type { Mistake } from './error.ts';
import { isNamespace, parseAddress, parseBaseUrl, parseHost, parseHostOrIp, parsePresented } from './grammar.ts';
import { isTree, valueAt } from './layers.ts';
import { isWildcard, wildcardOf } from './lookup.ts';
import { isWritten, oneOf, wrongKey, wrongValue } from './mistake.ts';
import { formatPath, type Path } from './path.ts';
import type { Place } from './place.ts';

/**
 * The mistakes that lie between keys. They are looked for in what is written (`root`) over the defaults (`layered`),
 * whatever else is wrong there, so that everything is reported at once.
 */
export function crossCheck(root: Place, layered: unknown): Mistake[] {
  const written = valueAt(layered, ['upstreams']);
  const namespaces = isTree(written) ? Object.keys(written).filter((name) => written[name] !== null) : [];
  const claims = claimsOf(layered, namespaces).sort((a, b) => rank(root, a.path) - rank(root, b.path));
  return [
    ...namespaces.filter((name) => !isNamespace(name)).map((name) => wrongKey(root, ['upstreams', name], NAMESPACE)),
    ...checkPins(root, layered),
    ...checkBrought(root, layered),
    ...checkListeners(root, layered),
    ...checkMirror(
      root,
      layered,
      namespaces.filter((name) => !isTemplate(layered, name)),
    ),
    ...checkHosted(root, layered, [...namespaces, ...claims.map(({ host }) => host).filter(isWildcard)]),
    ...checkUsers(root, layered),
    ...checkClaims(root, claims),
    ...checkNames(root, layered, claims),
    ...namespaces.flatMap((name) => checkWildcards(root, layered, name)),
  ];
}

const NAMESPACE = 'a namespace: one component of a repository name, so in lower case and without a port';

/** A host that an upstream presents, and where it says so. */
interface Claim {
  readonly host: string;
  readonly namespace: string;
  readonly path: Path;
}

function claimsOf(layered: unknown, namespaces: readonly string[]): Claim[] {
  return namespaces.flatMap((namespace) =>
    ['hosts', 'authHosts'].flatMap((key) => {
      const claims = textsAt(layered, ['upstreams', namespace, key]).flatMap(({ text, path }) => {
        const host = parsePresented(text);
        return host === undefined ? [] : [{ host, namespace, path }];
      });
      return claims.filter(({ host }, index) => claims.findIndex((other) => other.host === host) === index);
    }),
  );
}

/** Of two that contradict each other, the written one is to blame, the later one when both are. */
function rank(root: Place, path: Path): number {
  return isWritten(root, path) ? 1 : 0;
}

function checkClaims(root: Place, claims: readonly Claim[]): Mistake[] {
  const owners = new Map<string, string>();
  return claims.flatMap(({ host, namespace, path }) => {
    const owner = owners.get(host);
    if (owner === undefined) {
      owners.set(host, namespace);
      return [];
    }
    if (!isWritten(root, path)) {
      return [wrongKey(root, ['upstreams', namespace], `a namespace that upstream ${owner} does not present`)];
    }
    const remark = owner === namespace ? ' in hosts and authHosts' : `, which belongs to upstream ${owner}`;
    return [wrongValue(root, path, 'a host of this upstream alone', remark)];
  });
}

function checkNames(root: Place, layered: unknown, claims: readonly Claim[]): Mistake[] {
  return textsAt(layered, ['names']).flatMap(({ text, path }) => {
    const claim = claims.find(({ host }) => host === parseHostOrIp(text));
    if (claim === undefined) return [];
    return isWritten(root, path)
      ? [wrongValue(root, path, 'a name of our own', `, which upstream ${claim.namespace} presents`)]
      : [wrongValue(root, claim.path, 'the name of a registry', ', which is one of names')];
  });
}

function checkHosted(root: Place, layered: unknown, namespaces: readonly string[]): Mistake[] {
  return textsAt(layered, ['hosted', 'repositories'])
    .filter(({ text }) => {
      const first = text.split('/')[0] ?? '';
      return namespaces.includes(first) || namespaces.includes(wildcardOf(first));
    })
    .map(({ path }) => wrongValue(root, path, 'a prefix that is no namespace of upstreams'));
}

/** What is for users alone would be for nobody. */
function checkUsers(root: Place, layered: unknown): Mistake[] {
  if ((valueAt(layered, ['users', 'file']) ?? undefined) !== undefined) return [];
  const keys = [
    ['hosted', 'push'],
    ['hosted', 'read'],
    ['mirror', 'read'],
  ];
  return keys
    .filter((path) => valueAt(layered, path) === 'users')
    .map((path) => wrongValue(root, path, 'users.file to be set as well'));
}

/** An upstream is one registry, or a pattern for many: never both, and its URLs follow. */
function checkWildcards(root: Place, layered: unknown, name: string): Mistake[] {
  const below = (key: string) => textsAt(layered, ['upstreams', name, key]);
  const wild = isTemplate(layered, name);
  const hosts = below('hosts').filter(({ text }) => wild && parsePresented(text) !== undefined && !isWildcard(text));
  const urls = below('urls').filter(({ text }) => parseBaseUrl(text)?.hostname.startsWith('*') === !wild);
  const isAnywhere = below('urls').some(({ text }) => parseBaseUrl(text)?.hostname === '*');
  const credentials = ['upstreams', name, 'credentials'];
  const hasAccount = (valueAt(layered, credentials) ?? undefined) !== undefined;
  return [
    ...(wild && isAnywhere && hasAccount ? [wrongValue(root, credentials, NO_ACCOUNT)] : []),
    ...hosts.map(({ path }) => wrongValue(root, path, 'a wildcard, since another of these hosts is one')),
    ...urls.map(({ path }) => wrongValue(root, path, wild ? WILD_URL : 'a URL without *, since no host is a wildcard')),
  ];
}

/** Whoever may have a host there could ask for the password. */
const NO_ACCOUNT =
  'none beside wildcards without urls of their own, since clients choose the host that it is shown to (write that host as an upstream)';
const WILD_URL = 'a URL with * in front of its host or in place of it, since hosts are wildcards';

function isTemplate(layered: unknown, name: string): boolean {
  return textsAt(layered, ['upstreams', name, 'hosts']).some(({ text }) => isWildcard(text));
}

function checkMirror(root: Place, layered: unknown, namespaces: readonly string[]): Mistake[] {
  const path = ['mirror', 'default'];
  const namespace = valueAt(layered, path);
  if (typeof namespace !== 'string' || namespaces.includes(namespace) || !isWritten(root, path)) return [];
  return [wrongValue(root, path, oneOf(namespaces))];
}

function checkPins(root: Place, layered: unknown): Mistake[] {
  const pins = valueAt(layered, ['dns', 'pins']);
  const names = isTree(pins) ? Object.keys(pins) : [];
  return names
    .filter((name) => parseHost(name) === undefined)
    .map((name) => wrongKey(root, ['dns', 'pins', name], 'a host name'));
}

/** A certificate is of no use without its key, and the other way round. */
function checkBrought(root: Place, layered: unknown): Mistake[] {
  const paths = [
    ['certs', 'chain'],
    ['certs', 'key'],
  ];
  const missing = paths.filter((path) => (valueAt(layered, path) ?? undefined) === undefined);
  return missing.length === paths.length ? [] : missing.map((path) => wrongValue(root, path, 'both chain and key'));
}

function checkListeners(root: Place, layered: unknown): Mistake[] {
  const listeners = ['https', 'http', 'admin'].flatMap((key) => addressesAt(layered, ['listen', key]));
  listeners.sort((a, b) => rank(root, a.path) - rank(root, b.path));
  return listeners.flatMap(({ host, port, path }, index) => {
    const other = listeners
      .slice(0, index)
      .find(
        (before) => before.port === port && (before.host === host || isEverywhere(before.host) || isEverywhere(host)),
      );
    return other === undefined ? [] : [wrongValue(root, path, `another address than ${formatPath(other.path)}`)];
  });
}

/** The addresses at `path`, where one or a list may stand, each as text or with more in a map; port 0 is never taken. */
function addressesAt(layered: unknown, path: Path): { host: string; port: number; path: Path }[] {
  const written = valueAt(layered, path);
  if (Array.isArray(written)) return written.flatMap((_, index) => addressesAt(layered, [...path, index]));
  if (isTree(written)) return addressesAt(layered, [...path, 'address']);
  const address = typeof written === 'string' ? parseAddress(written) : undefined;
  return address === undefined || address.port === 0 ? [] : [{ ...address, path }];
}

function isEverywhere(host: string): boolean {
  return host === '::' || host === '0.0.0.0';
}

/** The strings of the list at `path`, each with its own path. */
function textsAt(value: unknown, path: Path): { readonly text: string; readonly path: Path }[] {
  const items = valueAt(value, path);
  if (!Array.isArray(items)) return [];
  return items.flatMap((text, index) => (typeof text === 'string' ? [{ text, path: [...path, index] }] : []));
}
