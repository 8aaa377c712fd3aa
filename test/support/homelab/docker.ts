import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from '../client.ts';
import { pull } from '../pull/pull.ts';

/**
 * `docker pull` and `docker rmi` of a machine whose files lie in the directory HOMELAB: names are looked up in its
 * hosts file, roots are those the daemon read when it was last restarted, and its ports are listed in `ports.json`.
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
  const { registry, host, repository } = parse(reference);
  const hosts = (await text('root/etc/hosts')).split('\n').map((line) => line.replace(/#.*/, '').trim().split(/\s+/));
  const [address] = hosts.find(([, ...names]) => names.includes(host)) ?? fail(`lookup ${host}: no such host`);
  const port = (await json<number>('ports.json'))[new URL(registry).protocol === 'https:' ? '443' : '5000'];
  const { host: authority } = new URL(registry);
  const asked = authority.includes(':') ? authority : `${authority}:443`;
  using client = new Client({
    ca: await text('docker-roots.pem'),
    connectTo: { [asked]: { address: address ?? '', port: port ?? 0 } },
  });
  const { digest } = await pull('dockerd', { client, registry, repository, reference: 'latest' });
  console.log(`Digest: ${digest}`);
  return digest;
}

/** The first component names a registry when it has a dot or a port, as docker takes it. */
function parse(reference: string): { registry: string; host: string; repository: string } {
  const [first = '', ...rest] = reference.split('/');
  const isHost = /[.:]/.test(first);
  const host = isHost ? first.replace(/:\d+$/, '') : 'registry-1.docker.io';
  const path = isHost ? rest.join('/') : reference;
  const repository = isHost || path.includes('/') ? path : `library/${path}`;
  return { registry: host === 'localhost' ? `http://${first}` : `https://${host}`, host, repository };
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
