import { readdir, readFile, writeFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from '../client.ts';
import { pull } from '../pull/pull.ts';

/**
 * `docker pull` and `docker rmi` of a machine whose files lie in the directory HOMELAB: names are looked up in its
 * hosts file, mirrors and roots in its /etc/docker, and its ports are listed in `ports.json`.
 */
const dir = process.env.HOMELAB ?? '';
const [command, name = ''] = process.argv.slice(2);
const images = new Map(Object.entries(await json<string>('images.json')));

if (command === 'pull') images.set(name, await pulled(name));
else if (command !== 'rmi' || !images.delete(name)) fail(`cannot ${command} ${name}`);
await writeFile(join(dir, 'images.json'), JSON.stringify(Object.fromEntries(images)));
// A real docker unpacks what it pulled; meanwhile the gateway writes its log.
await sleep(300);

async function pulled(reference: string): Promise<string> {
  const { registry, host, repository } = await parse(reference);
  const { host: authority, protocol } = new URL(registry);
  const port = (await json<number>('ports.json'))[protocol === 'https:' ? '443' : '5000'];
  using client = new Client({
    ca: await rootsFor(host),
    connectTo: {
      [authority.includes(':') ? authority : `${authority}:443`]: { address: await lookup(host), port: port ?? 0 },
    },
  });
  const { digest } = await pull('dockerd', { client, registry, repository, reference: 'latest' });
  console.log(`Digest: ${digest}`);
  return digest;
}

async function lookup(host: string): Promise<string> {
  if (isIP(host) !== 0) return host;
  const hosts = (await text('root/etc/hosts')).split('\n').map((line) => line.replace(/#.*/, '').trim().split(/\s+/));
  return hosts.find(([, ...names]) => names.includes(host))?.[0] ?? fail(`lookup ${host}: no such host`);
}

async function rootsFor(host: string): Promise<string> {
  const folder = `root/etc/docker/certs.d/${host}`;
  const files = await readdir(join(dir, folder)).catch(() => []);
  return (await Promise.all(files.map((file) => text(`${folder}/${file}`)))).join('');
}

/** The mirror for images of Docker Hub; without one, the Hub itself. */
async function hub(): Promise<string> {
  const [mirror = 'https://registry-1.docker.io'] =
    (await json<string[]>('root/etc/docker/daemon.json'))['registry-mirrors'] ?? [];
  return mirror;
}

/** The first component names a registry when it has a dot or a port, as docker takes it. */
async function parse(reference: string): Promise<{ registry: string; host: string; repository: string }> {
  const [first = '', ...rest] = reference.split('/');
  const isHost = /[.:]/.test(first);
  const path = isHost ? rest.join('/') : reference;
  const repository = isHost || path.includes('/') ? path : `library/${path}`;
  const registry = isHost ? `${/^localhost\b/.test(first) ? 'http' : 'https'}://${first}` : await hub();
  return { registry, host: new URL(registry).hostname, repository };
}

function text(file: string): Promise<string> {
  return readFile(join(dir, file), 'utf8').catch(() => '');
}

async function json<Value>(file: string): Promise<Record<string, Value>> {
  return JSON.parse((await text(file)) || '{}') as Record<string, Value>;
}

function fail(message: string): never {
  console.error(`Error response from daemon: ${message}`);
  process.exit(1);
}
