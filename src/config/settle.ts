import { createHash } from 'node:crypto';
import { resolve } from 'node:path';
import type { AccountConfig, Config, UpstreamConfig } from './config.ts';
import type { WrittenAccount, WrittenConfig, WrittenUpstream } from './schema.ts';

const FALLBACK_PORT = 8443;

/** The frozen configuration: paths made absolute from `cwd`, removed upstreams left out. */
export function settle(written: WrittenConfig, cwd: string, httpsIsWritten: boolean): Config {
  const upstreams = byKey(
    Object.entries(written.upstreams).flatMap(([name, upstream]) =>
      upstream === null ? [] : [[name, settleUpstream(name, upstream, cwd)] as const],
    ),
  );
  const { https } = written.listen;
  const { access } = written.log;
  const namespace = written.mirror.default ?? undefined;
  return freeze({
    ...written,
    listen: { ...written.listen, https: httpsIsWritten ? https : [{ ...https[0], fallbackPort: FALLBACK_PORT }] },
    names: unique(written.names),
    certs: settleCerts(written.certs, cwd),
    storage: { ...written.storage, root: resolve(cwd, written.storage.root) },
    dns: {
      servers: written.dns.servers,
      pins: byKey(
        Object.entries(written.dns.pins).map(([host, addresses]) => [host.toLowerCase(), addresses] as const),
      ),
    },
    log: { ...written.log, access: { ...access, file: access.file === '-' ? '-' : resolve(cwd, access.file) } },
    // The built-in default goes when its upstream was removed.
    mirror: {
      read: written.mirror.read,
      ...(namespace !== undefined && upstreams[namespace] !== undefined && { default: namespace }),
    },
    users: written.users.file == null ? {} : { file: resolve(cwd, written.users.file) },
    upstreams,
  });
}

function settleCerts({ dir, permit, chain, key }: WrittenConfig['certs'], cwd: string): Config['certs'] {
  const brought = chain != null && key != null ? { chain: resolve(cwd, chain), key: resolve(cwd, key) } : undefined;
  return { dir: resolve(cwd, dir), permit, ...(brought && { brought }) };
}

function settleUpstream(name: string, written: WrittenUpstream, cwd: string): UpstreamConfig {
  const { alias, allow, ca, clientCert, credentials, limit, ...rest } = written;
  return {
    ...rest,
    name,
    hosts: unique(written.hosts),
    authHosts: unique(written.authHosts),
    ...(alias != null && { alias }),
    ...(allow != null && { allow }),
    ...(ca != null && { ca: resolve(cwd, ca) }),
    ...(clientCert != null && {
      clientCert: { chain: resolve(cwd, clientCert.chain), key: resolve(cwd, clientCert.key) },
    }),
    limit: {
      ...(limit?.requests != null && { requests: limit.requests }),
      ...(limit?.bandwidth != null && { bandwidth: limit.bandwidth }),
    },
    parallel: written.parallel === 'off' ? 1 : written.parallel,
    credentials: (credentials ?? []).map((account) => settleAccount(account, cwd)),
  };
}

/** One user name may stand for many accounts, as where only the password tells who it is. */
function settleAccount(
  { username, passwordFile, serve = [], repositories }: WrittenAccount,
  cwd: string,
): AccountConfig {
  const file = resolve(cwd, passwordFile);
  const id = createHash('sha256').update(`${username}\0${file}`).digest('hex').slice(0, 16);
  return { id, username, passwordFile: file, serve, ...(repositories && { repositories }) };
}

/** Without a prototype: keys come from requests too, and `constructor` is a valid repository component. */
function byKey<Value>(entries: readonly (readonly [string, Value])[]): Record<string, Value> {
  return Object.assign(Object.create(null), Object.fromEntries(entries));
}

function unique(names: readonly string[]): readonly string[] {
  return [...new Set(names)];
}

function freeze<Value>(value: Value): Value {
  if (typeof value !== 'object' || value === null) return value;
  for (const inner of Object.values(value)) freeze(inner);
  return Object.freeze(value);
}
