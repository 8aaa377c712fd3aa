import { join } from 'node:path';
import { writeDocument } from '../config/document.ts';
import type { Foreign } from './foreign.ts';

/** What was made of another program's configuration. */
export interface Migration {
  /** A whole `gateway.yaml`. */
  readonly text: string;
  /** What has no counterpart, one line each. */
  readonly remarks: readonly string[];
}

/** `namespace` by what the other program calls a registry: a destination, or a host. */
export type Names = ReadonlyMap<string, string>;

interface Listening {
  /** `host:port`. */
  readonly address: string;
  readonly tls?: { readonly chain: string; readonly key: string };
}

/**
 * The listener that was there goes on at its address, and nothing is opened to networks that it was closed to: what
 * spoke TLS alone gets a plain listener for this machine only, and what was bound to an address stays there.
 */
export function listenersOf({ address, tls }: Listening): Readonly<Record<string, unknown>> {
  const [, host = '', port = ''] = /^(.*):(\d+)$/.exec(address) ?? [];
  const isEverywhere = ['', '0.0.0.0', '[::]'].includes(host);
  const free = (usual: number, other: number): number => (port === String(usual) ? other : usual);
  const beside =
    tls !== undefined
      ? { http: `127.0.0.1:${free(5000, 5080)}` }
      : isEverywhere
        ? port === '443' && { https: '[::]:8443' }
        : { https: `${host}:${free(8443, 9443)}` };
  return {
    listen: {
      [tls === undefined ? 'http' : 'https']: address,
      ...beside,
      ...(port === '9464' && { admin: '127.0.0.1:9465' }),
    },
    ...(tls && { certs: { ...tls } }),
  };
}

/** A directory beside what is stored there, on the same disk. */
export function storageBelow(written: Foreign, key: string): Readonly<Record<string, unknown>> {
  const root = written.text(key);
  if (root === undefined) return {};
  written.remark(
    key,
    'the cache gets a directory of its own below it and begins empty; what the registry stored stays as it is. It takes 50g at the most: storage.size',
  );
  return { storage: { root: join(root, 'layover') } };
}

const LEVELS: Readonly<Record<string, string>> = {
  trace: 'debug',
  debug: 'debug',
  info: 'info',
  warn: 'warn',
  warning: 'warn',
  error: 'error',
  fatal: 'error',
  panic: 'error',
};

export function levelOf(written: Foreign, key: string): Readonly<Record<string, unknown>> {
  const text = written.text(key);
  const level = text === undefined ? undefined : LEVELS[text.toLowerCase()];
  if (text !== undefined && level === undefined) written.remark(key, 'no such level; log.level stays at info');
  return level === undefined ? {} : { log: { level } };
}

/** An account without its password, which is never written down here. */
export function accountOf(namespace: string, username: string) {
  return { credentials: { username, passwordFile: `./secrets/${namespace}` } };
}

/** What to do instead of users' rights. */
export const USERS =
  'users are not taken over: add them with layover user add, name the file in users.file, and set hosted.push, hosted.read and mirror.read to users';

export const ACCOUNT_ADVICE = (namespace: string): string =>
  `the password is not taken over: write it into ./secrets/${namespace} and chmod 600 it. The account is used for public images, where it lifts rate limits; private ones that everybody may read belong into upstreams.${namespace}.credentials.serve`;

/** Paths in our file begin at the working directory, as those in theirs did. */
export function remarkRelative(written: Foreign, ...keys: readonly string[]): void {
  for (const key of keys)
    if (written.text(key)?.startsWith('/') === false)
      written.remark(key, 'a relative path: it begins at the directory that the gateway is started in');
}

/** The names that clients use, by the URL at `key`; certificates of one's own need them. */
export function namesAt(written: Foreign, key: string): Readonly<Record<string, unknown>> {
  const name = URL.parse(written.text(key) ?? '')?.hostname;
  if (name) return { names: [name] };
  written.remark(key, 'no URL: write the names that clients use into names');
  if (!written.has(key))
    written.remark('http.tls', 'write the names that clients use, and that the certificate covers, into names');
  return {};
}

/** `--map` names what the file does not have, as a line for each. */
export function unusedNames(names: Names, used: ReadonlySet<string>): readonly string[] {
  return [...names.keys()]
    .filter((name) => !used.has(name))
    .map((name) => `--map ${name}=…: the file names no destination and no registry like this`);
}

/** The file, with a first line for editors. */
export function gatewayText(origin: string, config: Readonly<Record<string, unknown>>): string {
  const lines = [
    `# Made of a configuration of ${origin}. Every key: docs/configuration.md; what is wrong: layover check.`,
    '',
  ];
  return `${lines.join('\n')}\n${writeDocument(config)}`;
}
