import { ConfigError } from '../config/error.ts';
import { Foreign } from './foreign.ts';
import {
  ACCOUNT_ADVICE,
  accountOf,
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
import { remoteAt, upstreamOf, withoutOthers } from './registry.ts';

const LOCAL = 'the cache lies on a local disk: set storage.root';
const ADVICE: Readonly<Record<string, string>> = {
  auth: USERS,
  notifications: 'there are no notifications; log.access.file has a line for every request',
  middleware: 'there is no middleware; clients get the bytes from the gateway itself',
  redis: 'not needed: nothing is kept outside storage.root',
  reporting: 'nothing is reported anywhere; what happens is in the log and in /metrics',
  health: 'not needed: /livez and /readyz on listen.admin; upstreams and the disk are watched in any case',
  catalog: 'not needed: there is no limit to set',
  validation: 'every blob and manifest is checked against its digest; what a manifest refers to is not judged',
  compatibility: 'not needed: schema 1 manifests pass through as they are',
  policy: 'there are no classes; which repositories are served: upstreams.<name>.allow and deny',
  'log.formatter': 'the log is text on a terminal and JSON otherwise',
  'log.fields': 'there are no fields of your own in the log',
  'log.hooks': 'the log sends no mails; /metrics has what an alert needs',
  'log.reportcaller': 'not needed',
  'log.accesslog': 'requests are logged to log.access.file, standard output is "-"',
  'storage.s3': LOCAL,
  'storage.gcs': LOCAL,
  'storage.azure': LOCAL,
  'storage.swift': LOCAL,
  'storage.oss': LOCAL,
  'storage.inmemory': LOCAL,
  'storage.filesystem.maxthreads': 'not needed: how much is done at once is limited by itself',
  'storage.cache': 'not needed: small manifests are kept in memory',
  'storage.delete': 'nothing is deleted through the registry API; eviction goes by last use, within storage.size',
  'storage.redirect': 'not needed: clients are never redirected to the storage',
  'storage.maintenance': 'not needed: the gateway cleans up daily by itself',
  'storage.tag': 'not needed',
  'http.net': 'there are TCP listeners only',
  'http.prefix': 'there are no path prefixes',
  'http.secret': 'not needed, and not taken over',
  'http.relativeurls': 'not needed',
  'http.draintimeout': 'not needed: running answers have 30 s to finish',
  'http.headers': 'there are no headers of your own; a proxy in front can add them',
  'http.http2': 'clients are served by HTTP/1.1',
  'http.h2c': 'clients are served by HTTP/1.1',
  'http.tls.clientcas': 'clients are not asked for certificates; listen.*.allow names networks',
  'http.tls.letsencrypt':
    'certificates are not fetched: give the files of certbot or another client as certs.chain and certs.key',
  'http.tls.minimumtls': 'not needed: TLS 1.2 and 1.3 with the ciphers of Node.js',
  'http.tls.ciphersuites': 'not needed: TLS 1.2 and 1.3 with the ciphers of Node.js',
  'proxy.ttl':
    'nothing is thrown away for its age: what was not used for longest makes room, within storage.size. How long a tag is served without being asked for again is tags.ttl',
  'proxy.exec': 'there are no credential helpers: have it write the password into the file of credentials.passwordFile',
};

/** A gateway that does what a registry of the distribution project did. Throws a {@link ConfigError} with every mistake. */
export function fromDistribution(file: string, text: string, names: Names): Migration {
  const written = Foreign.read(file, text);
  written.ignore('version');
  written.remarks(ADVICE);
  const used = new Set<string>();
  const config = {
    ...listening(written),
    ...namesAt(written, 'http.host'),
    ...storageBelow(written, 'storage.filesystem.rootdirectory'),
    ...levelOf(written, written.has('log.level') ? 'log.level' : 'loglevel'),
    ...proxied(written, names, used),
  };
  const remarks = written.finish();
  const unused = unusedNames(names, used);
  if (unused.length > 0) throw new ConfigError(unused);
  return { text: gatewayText('distribution', config), remarks };
}

function listening(written: Foreign): Readonly<Record<string, unknown>> {
  const [chain, key] = [written.text('http.tls.certificate'), written.text('http.tls.key')];
  remarkRelative(written, 'http.tls.certificate', 'http.tls.key');
  const tls = chain === undefined || key === undefined ? undefined : { chain, key };
  const isScraped = written.flag('http.debug.prometheus.enabled') === true;
  const admin = written.text('http.debug.addr');
  written.ignore('http.debug.prometheus.path');
  if (admin !== undefined && !isScraped) written.remark('http.debug.addr', 'not needed: there is no debugger to reach');
  else
    written.remark(
      'http.debug.addr',
      'metrics are at /metrics there, without a password; beside them /livez and /readyz',
    );
  const { listen, ...rest } = listenersOf({ address: written.text('http.addr') ?? ':5000', ...(tls && { tls }) });
  return { listen: { ...(listen as object), ...(admin !== undefined && isScraped && { admin }) }, ...rest };
}

function proxied(written: Foreign, names: Names, used: Set<string>): Readonly<Record<string, unknown>> {
  const address = written.text('proxy.remoteurl');
  if (address === undefined || address === '') {
    written.remark(
      '',
      'no proxy.remoteurl, so this registry is no cache: name what is to be pushed here in hosted.repositories and set hosted.push, then copy it, as with skopeo sync',
    );
    return {};
  }
  const remote = remoteAt(address);
  if (remote === undefined) {
    written.remark('proxy.remoteurl', 'no address of a registry: write upstreams by hand');
    return {};
  }
  if (remote.lost !== 'none') written.remark('proxy.remoteurl', `its ${remote.lost} was left out`);
  const name = names.has(remote.peer) ? remote.peer : remote.namespace;
  if (names.has(name)) used.add(name);
  const namespace = names.get(name) ?? remote.namespace;
  const [username, password] = [written.text('proxy.username'), written.text('proxy.password')];
  if (password) written.remark('proxy.password', ACCOUNT_ADVICE(namespace));
  const upstream = {
    ...upstreamOf(namespace, [remote], true),
    ...(username ? accountOf(namespace, username) : {}),
  };
  return { mirror: { default: namespace }, upstreams: { [namespace]: upstream, ...withoutOthers([namespace]) } };
}
