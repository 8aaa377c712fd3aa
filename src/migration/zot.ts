import { ConfigError } from '../config/error.ts';
import { Foreign } from './foreign.ts';
import {
  gatewayText,
  levelOf,
  listenersOf,
  type Migration,
  type Names,
  namesAt,
  remarkRelative,
  storageBelow,
  USERS,
  unusedNames,
} from './gateway.ts';
import { type Accounts, syncedUpstreams } from './zot-sync.ts';

const NOT_YET = 'there is nothing like it';
const ADVICE: Readonly<Record<string, string>> = {
  'http.tls.cacert': 'clients are not asked for certificates; listen.*.allow names networks',
  'http.auth': USERS,
  'http.accessControl': `${USERS}; upstreams.<name>.allow and deny say which repositories are served`,
  'http.realm': 'not needed: the challenges of the registries are passed on',
  'http.allowOrigin': 'there is no web page that would need it',
  'http.ratelimit': 'clients are not limited; upstreams.<name>.limit is for what is asked of a registry',
  'http.compat': 'not needed: manifests of every media type are kept byte by byte',
  'storage.dedupe': 'not needed: each blob is stored once in any case',
  'storage.gc': 'not needed: what was not used for longest makes room, within storage.size',
  'storage.gcDelay': 'not needed: nothing locks the cache',
  'storage.gcInterval': 'not needed: nothing locks the cache',
  'storage.commit': 'not needed: blobs are synced to disk in any case',
  'storage.retention':
    'images that are never evicted: storage.keep; everything else goes by last use, within storage.size',
  'storage.storageDriver': 'the cache lies on a local disk: set storage.root and storage.size',
  'storage.cacheDriver': 'not needed: nothing is kept outside storage.root',
  'storage.remoteCache': 'not needed: nothing is kept outside storage.root',
  'storage.subPaths': 'there is one cache in one place: storage.root; a directory of it may be a mount of its own',
  'log.output': 'the log goes to standard error; send it where it belongs by the service manager',
  'log.audit': 'log.access.file has a line for every request',
  'extensions.metrics.prometheus': 'metrics are at /metrics',
  'extensions.search': 'there is no search and no scanner yet',
  'extensions.ui': 'there is no web page yet',
  'extensions.mgmt': NOT_YET,
  'extensions.apikey': USERS,
  'extensions.userprefs': NOT_YET,
  'extensions.trust': 'signatures pass through and are checked by clients',
  'extensions.imagetrust': 'signatures pass through and are checked by clients',
  'extensions.lint': 'nothing is pushed here that could be judged',
  'extensions.scrub':
    'not needed: blobs are checked against their digest before they are kept, and fetched again when the disk cannot read them',
  'extensions.events': 'there are no notifications; log.access.file has a line for every request',
  'extensions.sync.downloadDir': 'not needed: partial downloads lie in storage.root',
  scheduler: 'not needed',
  cluster: 'gateways do not know of each other; processes serves with several on one machine',
};

/** A gateway that does what a zot did as a cache. `accounts` reads a credentials file. Throws a {@link ConfigError} with every mistake. */
export function fromZot(file: string, text: string, names: Names, accounts: Accounts): Migration {
  const written = Foreign.read(file, text);
  written.ignore('distSpecVersion', 'version', 'goVersion', 'commit', 'releaseTag', 'binaryType');
  const isOff = (key: string): boolean => written.flag(`${key}.enable`) === false;
  const [off, on] = [Object.keys(ADVICE).filter(isOff), Object.entries(ADVICE).filter(([key]) => !isOff(key))];
  written.ignore(...off);
  written.remarks(Object.fromEntries(on));
  const used = new Set<string>();
  const config = {
    ...listening(written),
    ...(written.flag('extensions.metrics.enable') === true && { metrics: 'public' }),
    ...namesAt(written, 'http.externalUrl'),
    ...storageBelow(written, 'storage.rootDirectory'),
    ...levelOf(written, 'log.level'),
    ...syncedUpstreams(written, names, used, accounts),
  };
  const remarks = written.finish();
  const unused = unusedNames(names, used);
  if (unused.length > 0) throw new ConfigError(unused);
  return { text: gatewayText('zot', config), remarks };
}

/** Without an address and a port, zot listens on 127.0.0.1:8080. */
function listening(written: Foreign): Readonly<Record<string, unknown>> {
  const [host, port] = [written.text('http.address') ?? '127.0.0.1', written.text('http.port') ?? '8080'];
  const [chain, key] = [written.text('http.tls.cert'), written.text('http.tls.key')];
  remarkRelative(written, 'http.tls.cert', 'http.tls.key');
  const tls = chain === undefined || key === undefined ? undefined : { chain, key };
  return listenersOf({ address: `${host.includes(':') ? `[${host}]` : host}:${port}`, ...(tls && { tls }) });
}
