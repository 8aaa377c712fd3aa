import { createHash, randomInt } from 'node:crypto';
import { Resolver } from 'node:dns/promises';
import { access, copyFile, mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { corefile, namesOf } from '../../src/cli/names.ts';
import { loadConfig } from '../../src/config/load.ts';
import { Daemon, run } from '../clients/process.ts';
import { NameServer } from '../faults/name-server.ts';
import { expect } from './expect.ts';

/** Of CoreDNS, as in compose.yaml. */
export const VERSION = 'v1.15.0';
const SOURCE = join(import.meta.dirname, 'coredns/main.go');
const PORT = 5301;
const REAL = ['198.51.100.7', '2001:db8::7'];

/** CoreDNS with the plugins that we use, built once and kept. Takes a minute and the network. */
export async function buildCoreDns(cache: string): Promise<string> {
  const hash = createHash('sha256')
    .update(VERSION)
    .update(await readFile(SOURCE))
    .digest('hex')
    .slice(0, 12);
  const program = join(cache, `coredns-${hash}`);
  const isBuilt = await access(program).then(
    () => true,
    () => false,
  );
  if (isBuilt) return program;
  await mkdir(cache, { recursive: true });
  const module = await mkdtemp(`${program}.`);
  try {
    await copyFile(SOURCE, join(module, 'main.go'));
    const env = { ...goEnvironment(), CGO_ENABLED: '0', GOFLAGS: '-mod=mod', GOTOOLCHAIN: 'local', GOWORK: 'off' };
    const go = (args: readonly string[]) => run(['go', '-C', module, ...args], { env, timeout: 900_000 });
    await go(['mod', 'init', 'coredns.test']);
    await go(['get', `github.com/coredns/coredns@${VERSION}`]);
    await go(['build', '-trimpath', '-ldflags=-s -w', '-o', 'coredns', '.']);
    await rename(join(module, 'coredns'), program);
  } finally {
    await rm(module, { recursive: true, force: true });
  }
  return program;
}

/** CoreDNS leads the names of a configuration to the gateway, and no other; of one family when it has no other address. */
export async function leads(program: string, folder: string): Promise<void> {
  await using real = await NameServer.start(() => REAL);
  const text = `dns: { servers: ["${real.authority}"] }\nupstreams: { azure: { hosts: ["*.azurecr.io"] } }\n`;
  const config = await loadConfig({ text, env: {}, cwd: '/' });
  const file = join(folder, 'Corefile');
  // An address of our own, since there is no free port for it to take.
  const address = `127.${randomInt(1, 255)}.${randomInt(256)}.${randomInt(1, 255)}`;
  for (const addresses of [['192.0.2.10'], ['192.0.2.10', '2001:db8::10']]) {
    const own = corefile(namesOf(config, addresses)).replace('. {\n', `.:${PORT} {\n    bind ${address}\n`);
    await writeFile(file, own);
    await using server = new Daemon([program, '-conf', file], join(folder, 'coredns.log'));
    const resolver = new Resolver({ timeout: 5000, tries: 3 });
    resolver.setServers([`${address}:${PORT}`]);
    await server.ready(() => resolver.resolve4('example.com'));
    real.names.clear();
    for (const name of ['docker.io', 'registry-1.docker.io', 'ghcr.io', 'gateway.lan', 'acme.azurecr.io'])
      expect(
        name,
        await told(resolver, name),
        [...addresses, ...(addresses.length === 1 ? ['none'] : []), 'none'].join(),
      );
    expect('names that were asked elsewhere', [...real.names].join(), '');
    for (const name of ['cdn03.quay.io', 'hub.docker.io', 'x.data.azurecr.io', 'azurecr.io', 'example.com'])
      expect(name, await told(resolver, name), [...REAL, 'none'].join());
  }
}

/** Addresses of both families, and a record that no name of ours has; `none` for a name that has no such record. */
async function told(resolver: Resolver, name: string): Promise<string> {
  const answers = ['A', 'AAAA', 'MX'].map((type) =>
    resolver.resolve(name, type).then(String, (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENODATA') return 'none';
      throw error;
    }),
  );
  return (await Promise.all(answers)).join();
}

function goEnvironment(): Record<string, string> {
  const own = Object.fromEntries(Object.entries(process.env).map(([name, value]) => [name, value ?? '']));
  return { ...own, PATH: `${own.PATH}:/usr/local/go/bin` };
}
