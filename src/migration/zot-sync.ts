import { isNamespace, parsePattern } from '../config/grammar.ts';
import type { Foreign } from './foreign.ts';
import { ACCOUNT_ADVICE, accountOf, type Names } from './gateway.ts';
import { type Remote, remoteAt, upstreamOf, withoutOthers } from './registry.ts';

/** User names by host, as a credentials file has them; undefined when it cannot be read. */
export type Accounts = (file: string) => ReadonlyMap<string, string> | undefined;

const ADVICE: Readonly<Record<string, string>> = {
  pollInterval: 'nothing is fetched before it is pulled; upstreams.NAME.complete fetches the rest of what was',
  maxRetries: 'not needed: fetches are resumed where they broke off',
  retryDelay: 'not needed: fetches are resumed where they broke off',
  maxRetryDelay: 'not needed: fetches are resumed where they broke off',
  syncTimeout: 'not needed: a fetch may take as long as it moves',
  responseHeaderTimeout: 'not needed: it is 30 s',
  onlySigned: 'signatures pass through and are checked by clients',
  preserveDigest: 'not needed: nothing is converted',
  syncLegacyCosignTags: 'not needed: signatures are pulled like any image',
  stream: 'not needed: clients are served while it is fetched',
  platforms: 'not needed: what clients ask for is fetched',
  architectures: 'not needed: what clients ask for is fetched',
  credentialHelper:
    'there are no credential helpers: have it write the password into the file of upstreams.NAME.credentials.passwordFile',
  oauth2CredentialHelper:
    'there are no credential helpers: have it write the password into the file of upstreams.NAME.credentials.passwordFile',
  certDir: "name its files: upstreams.NAME.ca for the registry's authority, clientCert for a certificate of ours",
};

interface Upstream {
  readonly namespace: string;
  readonly remotes: readonly [Remote, ...Remote[]];
  /** Undefined for everything. */
  readonly allow: readonly string[] | undefined;
  readonly alias: string | undefined;
  /** Whether pulls had to name the registry. */
  readonly isNamed: boolean;
}

/** The upstreams that `extensions.sync` names, and which of them is meant when a pull names none. */
export function syncedUpstreams(
  written: Foreign,
  names: Names,
  used: Set<string>,
  accounts: Accounts,
): Readonly<Record<string, unknown>> {
  const registries = written.items('extensions.sync.registries');
  if (written.flag('extensions.sync.enable') === false)
    written.remark('extensions.sync', 'it is switched off, but registries stand below it, which are taken over');
  if (registries.length === 0) {
    written.remark(
      '',
      'no extensions.sync.registries, so this registry is no cache: name what is to be pushed here in hosted.repositories and set hosted.push, then copy it, as with skopeo sync',
    );
    written.ignore('extensions.sync');
    return {};
  }
  const usernames = usernamesOf(written, accounts);
  const upstreams = new Map<string, { readonly upstream: Upstream; readonly tree: object }>();
  const presented = new Set<string>();
  for (const registry of registries) {
    const upstream = readRegistry(registry, names, used);
    if (upstream === undefined) continue;
    const { namespace, remotes, allow, alias } = upstream;
    if (upstreams.has(namespace)) {
      registry.remark(
        'urls',
        `${namespace} is there already, and this was left out: put the addresses into its urls, and what is pulled from them into its allow`,
      );
      continue;
    }
    const [{ peer }] = remotes;
    const username = remotes.flatMap((remote) => usernames.get(remote.peer) ?? [])[0];
    if (username !== undefined) written.remark('extensions.sync.credentialsFile', ACCOUNT_ADVICE(namespace));
    const tree = {
      ...upstreamOf(namespace, remotes, !presented.has(peer) && !presented.has(namespace)),
      ...(alias !== undefined && { alias }),
      ...(allow && { allow }),
      ...(username !== undefined && accountOf(namespace, username)),
    };
    presented.add(peer).add(namespace);
    upstreams.set(namespace, { upstream, tree });
  }
  const unnamed = [...upstreams.values()].find(({ upstream }) => !upstream.isNamed)?.upstream.namespace;
  return {
    mirror: { default: unnamed ?? null },
    upstreams: {
      ...Object.fromEntries([...upstreams].map(([namespace, { tree }]) => [namespace, tree])),
      ...withoutOthers(upstreams.keys()),
    },
  };
}

function usernamesOf(written: Foreign, accounts: Accounts): ReadonlyMap<string, string> {
  const key = 'extensions.sync.credentialsFile';
  const file = written.text(key);
  if (file === undefined) return new Map();
  const found = accounts(file);
  if (found === undefined)
    written.remark(key, 'it could not be read: write upstreams.<name>.credentials for each registry in it');
  const entries = [...(found ?? [])].map(([host, username]) => [remoteAt(host)?.peer ?? host, username] as const);
  return new Map(entries);
}

function readRegistry(registry: Foreign, names: Names, used: Set<string>): Upstream | undefined {
  const remotes = registry.texts('urls').flatMap((address) => remoteAt(address) ?? []);
  const [first, ...more] = remotes;
  if (first === undefined) {
    registry.remark(registry.has('urls') ? 'urls' : '', 'no address of a registry: write the upstream by hand');
    registry.ignore('content');
    return undefined;
  }
  for (const { peer, lost } of remotes)
    if (lost !== 'none') registry.remark('urls', `the ${lost} of the address at ${peer} was left out`);
  const { destination, isNamed, allow } = readContent(registry);
  const name = [destination, first.peer, first.namespace].find((name) => name !== undefined && names.has(name));
  if (name !== undefined) used.add(name);
  const mapped = name === undefined ? undefined : names.get(name);
  const namespace = mapped ?? destination ?? first.namespace;
  remarkFetching(registry, namespace);
  if (mapped === undefined && destination !== undefined && destination !== first.namespace)
    registry.remark(
      'content',
      `pulls by path go on as /${destination}/…; mirrors ask for ?ns=${first.namespace}, which needs --map ${destination}=${first.namespace}`,
    );
  if (destination !== undefined && namespace !== destination)
    registry.remark(
      'content',
      `pulls by path become /${namespace}/…; logs of nginx's format go on saying ${destination}`,
    );
  return {
    namespace,
    remotes: [first, ...more],
    allow,
    alias: destination !== undefined && namespace !== destination ? destination : undefined,
    isNamed,
  };
}

/** What says how to fetch from this registry. */
function remarkFetching(registry: Foreign, namespace: string): void {
  const advices = Object.entries(ADVICE).map(([key, advice]) => [key, advice.replace('NAME', namespace)] as const);
  registry.remarks(Object.fromEntries(advices));
  if (registry.flag('onDemand') === false)
    registry.remark('onDemand', `what is pulled is fetched; upstreams.${namespace}.allow says what may be`);
  if (registry.flag('tlsVerify') === false)
    registry.remark(
      'tlsVerify',
      `certificates are always checked: give the authority of the registry as upstreams.${namespace}.ca`,
    );
}

/** Which of its repositories are meant, if not all, and where they were put, if that was one component for all of them. */
function readContent(
  registry: Foreign,
): Pick<Upstream, 'allow' | 'isNamed'> & { readonly destination: string | undefined } {
  const contents = registry.items('content').map((content) => ({
    content,
    prefix: bare(content.text('prefix') ?? '**'),
    place: bare(content.text('destination') ?? ''),
    isStripped: content.flag('stripPrefix') === true,
  }));
  const places = new Set(contents.map(({ place, isStripped, prefix }) => (isStripped && prefix !== '**' ? '' : place)));
  const [place = ''] = places;
  const destination = places.size === 1 && isNamespace(place) ? place : undefined;
  const patterns = new Set<string>();
  let isAll = contents.length === 0;
  for (const { content, prefix, place, isStripped } of contents) {
    content.remark('tags', 'tags are not chosen by expressions; allow takes patterns such as acme/app:v*');
    if (isStripped && prefix !== '**')
      content.remark('stripPrefix', 'repositories keep their names: pull them as they are called at the registry');
    if (place !== '' && destination === undefined) content.remark('destination', NO_NAMESPACE);
    if (prefix === '**' || prefix === '') isAll = true;
    else if (parsePattern(prefix) !== undefined) patterns.add(prefix);
    else {
      content.remark('prefix', 'not to be said by our patterns, so everything is served: write upstreams.<name>.allow');
      isAll = true;
    }
  }
  return { destination, isNamed: contents.some(({ place }) => place !== ''), allow: isAll ? undefined : [...patterns] };
}

const NO_NAMESPACE =
  'no namespace, which is one component for all that comes from a registry: pulls by path begin with its own name';

const bare = (path: string): string => path.replaceAll(/^\/+|\/+$/g, '');
