import { once } from 'node:events';
import { appendFile, chmod, copyFile, mkdir, symlink, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Daemon, run } from '../clients/process.ts';
import { openLoopback } from '../faults/namespace.ts';
import type { TestGateway } from '../support/gateway.ts';

const ROOT = join(import.meta.dirname, '../..');
const MAIN = join(ROOT, 'src/cli/main.ts');

/** Runs the command line as a user does. */
export function layover(gateway: TestGateway, ...args: readonly string[]): Promise<Buffer> {
  return run([process.execPath, MAIN, ...args, '--config', join(gateway.dir, 'gateway.yaml')]);
}

/** Makes a machine of a namespace: these names lead to `addresses`, `roots` (PEM) are trusted, and what nginx and clients keep is
 * its own. */
export async function furnish(dir: string, addresses: Readonly<Record<string, string>>, roots: string): Promise<void> {
  await openLoopback();
  // What nginx keeps lies there, and its workers are somebody else.
  await chmod(dir, 0o755);
  const hosts = join(dir, 'hosts');
  await writeFile(
    hosts,
    Object.entries(addresses)
      .map(([name, address]) => `${address} ${name}\n`)
      .join(''),
  );
  const bundle = join(dir, 'roots.pem');
  await copyFile('/etc/ssl/certs/ca-certificates.crt', bundle);
  await appendFile(bundle, `\n${roots}`);
  await run(['mount', '--bind', hosts, '/etc/hosts']);
  await run(['mount', '--bind', bundle, '/etc/ssl/certs/ca-certificates.crt']);
  await mkdir('/var/lib/containers', { recursive: true });
  for (const folder of ['/var/log/nginx', '/var/lib/nginx', '/var/lib/containers', '/run', '/dev/shm'])
    await run(['mount', '-t', 'tmpfs', 'tmpfs', folder]);
}

/** As a user has it, with node before everything else. */
export const PATH = `${dirname(process.execPath)}:/usr/sbin:/usr/bin:/sbin:/bin`;

/** The project with the gateway's configuration where a start without --config finds it. */
export async function makeClone(dir: string, gateway: TestGateway): Promise<string> {
  const clone = join(dir, 'clone');
  await mkdir(join(clone, 'config'), { recursive: true });
  for (const name of ['bin', 'src', 'node_modules', 'package.json', 'security-floor.json'])
    await symlink(join(ROOT, name), join(clone, name));
  await copyFile(join(gateway.dir, 'gateway.yaml'), join(clone, 'config/gateway.yaml'));
  return clone;
}

/** What Debian puts into /etc/nginx, to be changed. */
export async function useDebianConfig(dir: string): Promise<void> {
  const own = join(dir, 'etc-nginx');
  await run(['cp', '-a', '/etc/nginx', own]);
  await run(['mount', '--bind', own, '/etc/nginx']);
}

/** Waits until `probe` no longer throws, for at most 20 seconds. */
export async function until(probe: () => Promise<unknown>): Promise<void> {
  const deadline = performance.now() + 20_000;
  for (;;) {
    try {
      return void (await probe());
    } catch (error) {
      if (performance.now() > deadline) throw error;
    }
    await sleep(50);
  }
}

/** The rest of what Debian's nginx.conf says, beside what is tested. */
export async function writeMainConfig(prefix: string, http: string): Promise<void> {
  await mkdir(prefix, { recursive: true });
  const text = `user www-data;
worker_processes 2;
pid ${join(prefix, 'nginx.pid')};
error_log ${join(prefix, 'error.log')};
events { worker_connections 768; }
http {
  default_type application/octet-stream;
  sendfile on;
  gzip on;
${http}
}
`;
  await writeFile(join(prefix, 'nginx.conf'), text);
}

/** What `nginx -t` says of a configuration; throws when it is refused. */
export async function checkNginx(prefix: string): Promise<string> {
  const output = await run(['sh', '-c', `nginx -t -p "${prefix}" -c "${prefix}/nginx.conf" 2>&1`]);
  return output.toString();
}

/** Resolves when something listens there. */
export async function reach(at: { readonly address: string; readonly port: number }): Promise<void> {
  const socket = connect(at.port, at.address);
  try {
    await once(socket, 'connect');
  } finally {
    socket.destroy();
  }
}

export async function startNginx(prefix: string, probe: () => Promise<unknown>): Promise<Daemon> {
  const argv = ['nginx', '-p', prefix, '-c', join(prefix, 'nginx.conf'), '-g', 'daemon off;'];
  const nginx = new Daemon(argv, join(prefix, 'nginx.log'));
  await nginx.ready(probe);
  return nginx;
}
