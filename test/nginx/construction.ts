import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { Daemon } from '../clients/process.ts';
import { createAuthority } from '../support/pki.ts';
import type { FakeUpstream } from '../support/upstream/upstream.ts';
import { startNginx, writeMainConfig } from './inside.ts';
import { TokenService } from './token-service.ts';

/** Where the edge of the construction listens for TLS. */
export const EDGE = { address: '127.0.0.2', port: 4443 } as const;

/**
 * What people run today: nginx in front of a registry that mirrors several others, each below a sub-path of its own. nginx
 * puts the sub-path into paths and scopes, its own name into challenges, and caches. Debian's docker-registry mirrors one
 * other alone, so a second server of nginx makes one registry with sub-paths of several.
 */
export class Construction implements AsyncDisposable {
  /** PEM of the root that signed for the registries' names. */
  readonly ca: string;
  /** The access log of the edge. */
  readonly log: string;
  readonly #parts: readonly AsyncDisposable[];

  private constructor(ca: string, log: string, parts: readonly AsyncDisposable[]) {
    this.ca = ca;
    this.log = log;
    this.#parts = parts;
  }

  /** `mirrored` by sub-path; `users` may read what is below their names. */
  static async start(
    dir: string,
    mirrored: Readonly<Record<string, FakeUpstream>>,
    users: Readonly<Record<string, string>>,
    names: readonly string[],
  ): Promise<Construction> {
    await mkdir(dir, { recursive: true });
    const tokens = await TokenService.start(users, Object.keys(mirrored));
    await writeFile(join(dir, 'tokens.pem'), tokens.certificate);
    const ports = new Map(Object.keys(mirrored).map((subpath, index) => [subpath, 5001 + index]));
    const registries = await Promise.all(
      Object.entries(mirrored).map(([subpath, upstream]) =>
        startRegistry(join(dir, subpath), upstream, ports.get(subpath) ?? 0, users, join(dir, 'tokens.pem')),
      ),
    );
    const prefix = join(dir, 'nginx');
    const authority = createAuthority();
    const { cert, key } = authority.issue(names);
    await writeMainConfig(prefix, edge(prefix) + mirror(ports, tokens.port));
    await writeFile(join(prefix, 'edge.pem'), `${cert}${key}`);
    const nginx = await startNginx(prefix, () => fetch('http://127.0.0.3:8080/v2/'));
    return new Construction(authority.ca, join(prefix, 'access.log'), [nginx, ...registries, tokens]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const part of this.#parts) await part[Symbol.asyncDispose]();
  }
}

async function startRegistry(
  dir: string,
  upstream: FakeUpstream,
  port: number,
  users: Readonly<Record<string, string>>,
  rootcertbundle: string,
): Promise<Daemon> {
  await mkdir(dir, { recursive: true });
  const [username = '', password = ''] = Object.entries(users)[0] ?? [];
  const address = `127.0.0.1:${port}`;
  const config = {
    version: 0.1,
    log: { level: 'error', accesslog: { disabled: true } },
    storage: { filesystem: { rootdirectory: join(dir, 'data') } },
    http: { addr: address },
    proxy: { remoteurl: upstream.url(), username, password },
    auth: {
      token: { realm: 'http://mirror.internal/service/token', service: 'mirror', issuer: 'mirror', rootcertbundle },
    },
  };
  await writeFile(join(dir, 'config.yml'), stringify(config));
  await writeFile(join(dir, 'ca.pem'), upstream.ca ?? '');
  const argv = ['docker-registry', 'serve', join(dir, 'config.yml')];
  const daemon = new Daemon(argv, join(dir, 'registry.log'), { SSL_CERT_FILE: join(dir, 'ca.pem') });
  await daemon.ready(() => fetch(`http://${address}/v2/`));
  return daemon;
}

/** The edge: what this construction is about. */
const edge = (prefix: string): string => `
  map $host $subpath {
    default docker-images;
    ghcr.io ghcr-images;
  }
  map $args $subpath_args {
    default $args;
    "~^scope=repository%3A(?<repository>.*)$" scope=repository%3A$subpath%2F$repository;
  }
  map $upstream_http_www_authenticate $challenge {
    default $upstream_http_www_authenticate;
    "~^Bearer realm=.https?://[^/]+(?<rest>/.*)$" 'Bearer realm="https://$host$rest';
  }
  # Tags move, digests do not.
  map $request_uri $is_moving {
    default 0;
    "~^/v2/.+/manifests/[^:?]+(?:[?]|$)" 1;
    "~^/v2/.+/tags/list" 1;
    "~^/v2/_catalog" 1;
  }
  log_format subpath '$remote_addr "$time_local" $host "$request" $status $bytes_sent "$http_referer" "$http_user_agent" subpath:$subpath $upstream_cache_status';
  proxy_cache_path ${join(prefix, 'cache')} levels=1:2 keys_zone=registry:50m inactive=72h max_size=50g;
  upstream mirror {
    hash $remote_addr consistent;
    server 127.0.0.3:8080 max_fails=10 fail_timeout=30s;
  }
  server {
    listen ${EDGE.address}:${EDGE.port} ssl http2;
    listen ${EDGE.address}:8080;
    ssl_certificate edge.pem;
    ssl_certificate_key edge.pem;
    access_log ${join(prefix, 'access.log')} subpath;
    client_max_body_size 0;
    proxy_connect_timeout 300s;
    proxy_send_timeout 300s;
    proxy_read_timeout 1200s;
    proxy_set_header Host $host;
    proxy_hide_header WWW-Authenticate;
    add_header WWW-Authenticate $challenge always;
    proxy_cache registry;
    proxy_cache_key $subpath$request_uri;
    proxy_cache_lock on;
    proxy_cache_lock_timeout 30s;
    proxy_cache_bypass $is_moving;
    proxy_no_cache $is_moving;
    location = /v2/ { proxy_pass http://mirror; }
    location /v2/ {
      set $args $subpath_args;
      rewrite ^/v2/(.*)$ /v2/$subpath/$1 break;
      proxy_pass http://mirror;
      proxy_cache_valid 200 302 70h;
    }
    location / {
      set $args $subpath_args;
      proxy_pass http://mirror;
      proxy_cache_valid 200 302 24h;
      # Tokens: cached, everybody would have that of whoever came first.
      proxy_no_cache 1;
      proxy_cache_bypass 1;
    }
  }
`;

/** The registry behind it, with a sub-path for each that it mirrors. */
function mirror(ports: ReadonlyMap<string, number>, tokens: number): string {
  const [first] = ports.values();
  const locations = [...ports].map(
    ([subpath, port]) => `    location /v2/${subpath}/ { proxy_pass http://127.0.0.1:${port}/v2/; }\n`,
  );
  return `
  server {
    listen 127.0.0.3:8080;
    access_log off;
    client_max_body_size 0;
    proxy_set_header Host $host;
    location = /v2/ { proxy_pass http://127.0.0.1:${first}; }
${locations.join('')}    location = /service/token { proxy_pass http://127.0.0.1:${tokens}; }
  }
`;
}
