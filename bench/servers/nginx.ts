import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type Bed, type Kind, program, type Server, startProgram } from './server.ts';

/** Debian's nginx with files that already lie there, by path below `dir/files`: what sending alone costs. */
export const nginxFiles = nginx('nginx files', false, ({ dir }) => {
  return `root ${join(dir, 'files')}; default_type application/octet-stream;`;
});

/** Debian's nginx as the mirror that people build by hand: proxy_cache with its lock. It checks no digest. */
export const nginxCache = nginx('nginx cache', true, ({ caFile }) => {
  return `proxy_pass https://origin;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $host;
      proxy_ssl_verify on;
      proxy_ssl_name localhost;
      proxy_ssl_trusted_certificate ${caFile};
      proxy_cache blobs;
      proxy_cache_valid 200 1d;
      proxy_cache_lock on;
      proxy_cache_lock_timeout 60s;
      proxy_cache_lock_age 60s;`;
});

function nginx(name: 'nginx files' | 'nginx cache', fills: boolean, location: (bed: Bed) => string): Kind {
  return {
    name,
    fills,
    // No goal compares with the cache.
    isQuick: !fills,
    async lacks() {
      return program('nginx') === undefined ? 'not installed (apt-get install nginx-light)' : undefined;
    },
    start: (bed) => start(name, bed, location(bed)),
  };
}

async function start(name: 'nginx files' | 'nginx cache', bed: Bed, location: string): Promise<Server> {
  const { dir } = bed;
  for (const folder of ['files', 'cache', 'temporary']) await mkdir(join(dir, folder), { recursive: true });
  return startProgram(name, bed, (port) => ({
    argv: [program('nginx') ?? '', '-e', join(dir, 'error.log'), '-c', join(dir, 'nginx.conf')],
    files: { 'nginx.conf': configuration(bed, port, location) },
  }));
}

/** As Debian ships it (sendfile, one worker a core, an access log), with connections that are never given up. */
function configuration({ dir, origin }: Bed, port: number, location: string): string {
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((kind) => `${kind}_temp_path ${join(dir, 'temporary', kind)};`)
    .join('\n  ');
  return `${process.getuid?.() === 0 ? 'user root;\n' : ''}daemon off;
worker_processes auto;
worker_rlimit_nofile 8192;
pid ${join(dir, 'nginx.pid')};
error_log ${join(dir, 'error.log')};
events { worker_connections 4096; }
http {
  ${temporary}
  sendfile on;
  tcp_nopush on;
  types {}
  access_log ${join(dir, 'access.log')};
  keepalive_requests 100000000;
  proxy_cache_path ${join(dir, 'cache')} levels=1:2 keys_zone=blobs:10m max_size=20g inactive=1d use_temp_path=off;
  upstream origin { server 127.0.0.1:${origin.target.port}; keepalive 16; keepalive_requests 100000000; }
  server {
    listen 127.0.0.1:${port} ssl;
    ssl_certificate ${join(dir, 'tls.crt')};
    ssl_certificate_key ${join(dir, 'tls.key')};
    ssl_protocols TLSv1.2 TLSv1.3;
    location / { ${location} }
  }
}
`;
}
