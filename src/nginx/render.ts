import { isIPv6 } from 'node:net';
import type { Front } from './front.ts';

/** The first line of every file, by which one of ours is known. */
export const MARK =
  '# Made by layover nginx-compat render. Do not edit it: make it anew when the configuration changes.';

/** By their paths beside nginx.conf, as Debian lays them out. */
export function render(front: Front): ReadonlyMap<string, string> {
  return new Map([
    [
      'conf.d/layover.conf',
      file([hashSizes(front), ...MAPS(front), LOG_FORMAT, gateway(front), ...front.servers.map(server)]),
    ],
    ['snippets/layover-proxy.conf', file([PROXY])],
  ]);
}

function file(parts: readonly string[]): string {
  return `${[MARK, ...parts.filter((part) => part !== '')].join('\n\n')}\n`;
}

const MAPS = ({ subpaths }: Front): readonly string[] => [
  `# What a registry is called in the log.
map $host $layover_subpath {
  hostnames;
  default -;
${[...subpaths].map(([host, alias]) => `  ${host} ${alias ?? '$host'};`).join('\n')}
}`,
  `# How the gateway answered, in nginx's own words.
map $upstream_http_cache_status $layover_cache {
  default -;
  "~; detail=stale" STALE;
  "~; fwd=stale" REVALIDATED;
  "~; (hit|fwd=uri-miss; collapsed)" HIT;
  "~; fwd=uri-miss" MISS;
  "~; fwd=bypass" BYPASS;
}`,
];

const LOG_FORMAT = `log_format layover '$remote_addr "$time_local" $host "$request" $status $body_bytes_sent "$http_referer" '
  '"$http_user_agent" subpath:$layover_subpath $layover_cache';`;

const gateway = (front: Front): string => `# The plain listener; it has to list nginx's address in listen.proxies.
upstream layover {
  server ${front.gateway};
  keepalive 32;
}`;

function server({ names, chain, key }: Front['servers'][number]): string {
  return `server {
  listen 443 ssl http2;
  listen [::]:443 ssl http2;
  server_name
    ${names.map((name) => (isIPv6(name) ? `[${name}]` : name)).join('\n    ')};
  ssl_certificate ${quoted(chain)};
  ssl_certificate_key ${quoted(key)};
  ssl_protocols TLSv1.2 TLSv1.3;
  ssl_session_cache shared:layover:10m;
  ssl_session_tickets off;
  include snippets/layover-proxy.conf;
}`;
}

/** A dollar sign would begin a variable in the name of a certificate, and nothing escapes it. */
function quoted(path: string): string {
  if (/^[\w./@%+,:=-]+$/.test(path)) return path;
  if (/[$\n]/.test(path))
    throw new Error(`nginx cannot name the file ${path}: put it where the path has no dollar sign`);
  return `"${path.replace(/["\\]/g, '\\$&')}"`;
}

/** nginx refuses names that do not fit into its tables, and sizes that are written twice. */
function hashSizes({ servers, subpaths }: Front): string {
  const names = [...servers.flatMap((one) => one.names), ...subpaths.keys()];
  const longest = Math.max(...names.map((name) => name.length));
  const size = 2 ** Math.ceil(Math.log2(longest + 26));
  return size <= 64 ? '' : `map_hash_bucket_size ${size};\nserver_names_hash_bucket_size ${size};`;
}

const PROXY = `access_log /var/log/nginx/layover.log layover;

# Layers have any size, and a push is passed on while it comes.
client_max_body_size 0;
proxy_request_buffering off;
proxy_buffering off;
proxy_max_temp_file_size 0;
gzip off;

# Tokens are long.
large_client_header_buffers 4 32k;

proxy_connect_timeout 300s;
proxy_send_timeout 300s;
send_timeout 300s;
# A layer that is not cached yet may be a while in coming.
proxy_read_timeout 1200s;

location / {
  proxy_pass http://layover;
  proxy_http_version 1.1;
  proxy_redirect off;
  proxy_set_header Connection "";
  proxy_set_header Host $host;
  # How the client called nginx. These replace what it may have sent itself.
  proxy_set_header X-Forwarded-Host $http_host;
  proxy_set_header X-Forwarded-Proto $scheme;
  proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
}`;
