import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Bed, freePort, Program, program, type Server } from './server.ts';

/** Debian's nginx with files that already lie there: what sending alone costs. `dir/files` holds them by path. */
export function startNginxFiles(bed: Bed): Promise<Server | undefined> {
  const files = join(bed.dir, 'files');
  return startNginx(bed, 'nginx files', false, `location / { root ${files}; default_type application/octet-stream; }`);
}

/** Debian's nginx as the mirror that people build by hand: proxy_cache with its lock. It checks no digest. */
export function startNginxCache(bed: Bed): Promise<Server | undefined> {
  return startNginx(
    bed,
    'nginx cache',
    true,
    `location / {
      proxy_pass https://origin;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $host;
      proxy_ssl_verify on;
      proxy_ssl_name localhost;
      proxy_ssl_trusted_certificate ${bed.caFile};
      proxy_cache blobs;
      proxy_cache_valid 200 1d;
      proxy_cache_lock on;
      proxy_cache_lock_timeout 60s;
      proxy_cache_lock_age 60s;
    }`,
  );
}

async function startNginx(
  bed: Bed,
  name: 'nginx files' | 'nginx cache',
  fills: boolean,
  location: string,
): Promise<Server | undefined> {
  const nginx = program('nginx');
  if (nginx === undefined) return undefined;
  const { dir, ca, certificate } = bed;
  for (const folder of ['files', 'cache', 'temporary']) await mkdir(join(dir, folder), { recursive: true });
  await writeFile(join(dir, 'tls.crt'), certificate.cert);
  await writeFile(join(dir, 'tls.key'), certificate.key, { mode: 0o600 });
  const port = await freePort();
  await writeFile(join(dir, 'nginx.conf'), configuration(bed, port, location));
  const running = new Program(
    [nginx, '-e', join(dir, 'error.log'), '-c', join(dir, 'nginx.conf')],
    join(dir, 'output.log'),
  );
  const startTime = await running.listening(port);
  return {
    name,
    pid: running.pid,
    target: { port, ca },
    startTime,
    fills,
    [Symbol.asyncDispose]: () => running.stop(),
  };
}

/** As Debian ships it (sendfile, one worker a core, an access log), with connections that are never given up. */
function configuration({ dir, origin }: Bed, port: number, location: string): string {
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((kind) => `${kind}_temp_path ${join(dir, 'temporary', kind)};`)
    .join('\n  ');
  return `${process.getuid?.() === 0 ? 'user root;\n' : ''}daemon off;
worker_processes auto;
pid ${join(dir, 'nginx.pid')};
error_log ${join(dir, 'error.log')};
events { worker_connections 1024; }
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
    ${location}
  }
}
`;
}
