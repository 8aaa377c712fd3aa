import { readFile, stat, statfs } from 'node:fs/promises';
import { BlockList, isIPv6 } from 'node:net';
import { dirname } from 'node:path';
import type { Config, UpstreamConfig } from '../config/config.ts';
import { isWildcard, presentedHosts, wildcardOf } from '../config/lookup.ts';
import { unknownVariables } from '../config/variables.ts';
import { certificateWarnings, readCertificates } from '../tls/identity.ts';
import { parseHtpasswd } from '../users/htpasswd.ts';

/** Something that a configuration may say, but that is hardly meant. `key` is a path in the file or a variable. */
export interface Warning {
  readonly key: string;
  readonly message: string;
}

/** What is doubtful about a configuration here and now. Looks at files and at the root CA, and changes nothing. */
export async function warningsOf(config: Config, env: NodeJS.ProcessEnv): Promise<readonly Warning[]> {
  const upstreams = Object.values(config.upstreams);
  return [
    ...unknownVariables(env).map(({ name, meant }) => ({
      key: name,
      message: `sets nothing${meant === undefined ? '' : ` (did you mean ${meant}?)`}`,
    })),
    ...openListeners(config),
    ...credulity(config),
    ...upstreams.flatMap(idlePatterns),
    ...upstreams.flatMap(idleAccounts),
    ...upstreams.flatMap(wideAccounts),
    ...(await certificateTroubles(config)),
    ...(await Promise.all(upstreams.map(fileTroubles))).flat(),
    ...(await userTroubles(config)),
    ...(await fleetingStorage(config.storage.root)),
  ];
}

/** It has no password, and metrics tell which registries are used how much. */
function openListeners({ listen }: Config): Warning[] {
  return listen.admin
    .filter(({ host, allow }) => !isLoopback(host) && allow === undefined)
    .map(({ host }) => ({
      key: 'listen.admin',
      message: `${host} can be reached by other machines and asks for no password: name those that may in allow`,
    }));
}

/** Then every client is a proxy, and what it says of itself is believed. */
function credulity({ listen }: Config): Warning[] {
  return listen.proxies
    .filter((network) => network.endsWith('/0'))
    .map((network) => ({
      key: 'listen.proxies',
      message: `${network} is everybody, and everybody may then claim any address: name your proxies`,
    }));
}

const LOOPBACK = new BlockList();
LOOPBACK.addSubnet('127.0.0.0', 8, 'ipv4');
LOOPBACK.addAddress('::1', 'ipv6');

function isLoopback(host: string): boolean {
  return host === 'localhost' || LOOPBACK.check(host, isIPv6(host) ? 'ipv6' : 'ipv4');
}

/** Patterns that no repository of this registry can match. */
function idlePatterns({ name, hosts, allow = [], deny, credentials }: UpstreamConfig): Warning[] {
  const accounts = credentials.flatMap(({ serve, repositories = [] }, index) => {
    const key = credentialsKey(credentials, index);
    return [[`${key}.repositories`, repositories] as const, [`${key}.serve`, serve] as const];
  });
  const lists = [['allow', allow] as const, ['deny', deny] as const, ...accounts];
  return lists.flatMap(([list, patterns]) =>
    patterns.flatMap((pattern, index) => {
      const message = whyIdle(name, hosts, pattern);
      return message === undefined ? [] : [{ key: `upstreams.${name}.${list}[${index}]`, message }];
    }),
  );
}

/** Accounts that stand behind one that is for everything. */
function idleAccounts({ name, credentials }: UpstreamConfig): Warning[] {
  const last = credentials.findIndex(({ repositories = ['**'] }) => repositories.includes('**'));
  return credentials.flatMap((_, index) =>
    last < 0 || index <= last
      ? []
      : [{ key: `upstreams.${name}.credentials[${index}]`, message: `credentials[${last}] is for every repository` }],
  );
}

/** An account whose password goes to hosts that nobody wrote. */
function wideAccounts({ name, hosts, urls, credentials }: UpstreamConfig): Warning[] {
  if (credentials.length === 0 || !hosts.some(isWildcard)) return [];
  const zone = urls.map(({ host }) => host).join(', ');
  const message = `the password is sent to every host of ${zone} that a client names and that asks for it`;
  return [{ key: `upstreams.${name}.credentials`, message }];
}

/** Where an account stands: a map of its own, or one of a list. */
function credentialsKey(credentials: UpstreamConfig['credentials'], index: number): string {
  const isAlone = credentials.length === 1 && credentials[0]?.repositories === undefined;
  return isAlone ? 'credentials' : `credentials[${index}]`;
}

function whyIdle(namespace: string, hosts: readonly string[], pattern: string): string | undefined {
  const [repositories = '', ...tags] = pattern.split(':');
  const [first = '', ...rest] = repositories.split('/');
  if ((first === namespace || hosts.includes(wildcardOf(first))) && rest.length > 0) {
    return `${pattern} matches nothing: patterns are written without the namespace, so ${[rest.join('/'), ...tags].join(':')}`;
  }
  if (namespace === 'docker.io' && rest.length === 0 && first !== '**') {
    return `${pattern} matches nothing: repositories of Docker Hub have two components, such as library/${pattern}`;
  }
  return undefined;
}

async function certificateTroubles({ certs, names, upstreams }: Config): Promise<Warning[]> {
  try {
    const shown = await readCertificates(certs.dir, certs.brought);
    // The first start makes a root that covers everything.
    if (shown === undefined) return [];
    const hosts = [...names, ...presentedHosts({ upstreams }).keys()];
    return certificateWarnings(shown, hosts, Date.now()).map((message) => ({ key: 'certs', message }));
  } catch (error) {
    return [{ key: 'certs', message: error instanceof Error ? error.message : String(error) }];
  }
}

async function fileTroubles({ name, ca, clientCert, credentials }: UpstreamConfig): Promise<Warning[]> {
  const found: Warning[] = [];
  const add = (key: string, message: string | undefined): void => {
    if (message !== undefined) found.push({ key: `upstreams.${name}.${key}`, message });
  };
  if (ca !== undefined) add('ca', await fileTrouble(ca, false));
  if (clientCert !== undefined) {
    add('clientCert.chain', await fileTrouble(clientCert.chain, false));
    add('clientCert.key', await fileTrouble(clientCert.key, true));
  }
  for (const [index, { passwordFile }] of credentials.entries())
    add(`${credentialsKey(credentials, index)}.passwordFile`, await fileTrouble(passwordFile, true));
  return found;
}

/** Below it, a stolen file is guessed quickly. */
const WEAK = 10;

async function userTroubles({ users: { file } }: Config): Promise<Warning[]> {
  if (file === undefined) return [];
  try {
    const entries = parseHtpasswd(await readFile(file, 'utf8'), file);
    const weak = [...entries].filter(([, { cost }]) => cost < WEAK).map(([name]) => name);
    const trouble = await fileTrouble(file, true);
    const messages = [
      ...(trouble === undefined ? [] : [trouble]),
      ...(entries.size === 0 ? [`${file} names no users: add one by "layover user add NAME"`] : []),
      ...(weak.length === 0
        ? []
        : [`bcrypt with a cost below ${WEAK} for ${weak.join(', ')}: set those passwords anew by "layover user add"`]),
    ];
    return messages.map((message) => ({ key: 'users.file', message }));
  } catch (error) {
    return [{ key: 'users.file', message: error instanceof Error ? error.message : String(error) }];
  }
}

async function fileTrouble(file: string, secret: boolean): Promise<string | undefined> {
  try {
    const { mode } = await stat(file);
    if (!secret || (mode & 0o077) === 0) return undefined;
    return `${file} can be read or changed by others (mode ${(mode & 0o777).toString(8)}): chmod 600 ${file}`;
  } catch (error) {
    return `${file} cannot be read: ${error instanceof Error && 'code' in error ? error.code : error}`;
  }
}

const TMPFS = 0x01021994;

async function fleetingStorage(root: string): Promise<Warning[]> {
  try {
    const { type } = await statfs(root);
    return type === TMPFS
      ? [{ key: 'storage.root', message: `${root} lies in memory and is gone with a restart` }]
      : [];
  } catch {
    // Not made yet: then it will lie where its parent does.
    return dirname(root) === root ? [] : fleetingStorage(dirname(root));
  }
}
