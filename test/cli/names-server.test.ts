import { spawn, spawnSync } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { Resolver } from 'node:dns/promises';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { dnsmasq, namesOf } from '../../src/cli/names.ts';
import { loadConfig } from '../../src/config/load.ts';
import { NameServer } from '../faults/name-server.ts';

const PORT = 5300;
const REAL = ['198.51.100.7', '2001:db8::7'];

/** A dnsmasq of the system's, which asks `server` what it does not know itself. */
async function startDnsmasq(t: ExecutionContext, server: string, text: string): Promise<Resolver> {
  const folder = await mkdtemp(join(tmpdir(), 'layover-dnsmasq-'));
  const file = join(folder, 'layover.conf');
  await writeFile(file, text);
  // Port 0 means none to it: an address of our own instead of a port of our own.
  const address = `127.${randomInt(1, 255)}.${randomInt(256)}.${randomInt(1, 255)}`;
  const own = ['--no-daemon', '--no-hosts', '--no-resolv', '--pid-file=', `--server=${server.replace(':', '#')}`];
  const bound = [`--listen-address=${address}`, '--bind-interfaces', `--port=${PORT}`, `--conf-file=${file}`];
  const child = spawn('dnsmasq', [...own, ...bound], { stdio: 'ignore' });
  t.teardown(async () => {
    if (child.exitCode === null) {
      child.kill('SIGKILL');
      await once(child, 'exit');
    }
    await rm(folder, { recursive: true });
  });
  const resolver = new Resolver({ timeout: 5000, tries: 3 });
  resolver.setServers([`${address}:${PORT}`]);
  while (child.exitCode === null && !(await resolver.resolve4('www.example').catch(() => undefined))) await sleep(20);
  t.is(child.exitCode, null);
  return resolver;
}

test('dnsmasq leads the names to the gateway, tells no other address of them, and all other names as they are', async (t) => {
  if (spawnSync('dnsmasq', ['--version']).error !== undefined) {
    t.log('skipped: there is no dnsmasq on this machine');
    t.pass();
    return;
  }
  await using real = await NameServer.start(() => REAL);
  const config = await loadConfig({ text: '', env: {}, cwd: '/' });
  const resolver = await startDnsmasq(t, real.authority, dnsmasq(namesOf(config, ['192.0.2.10'])));
  real.names.clear();
  for (const name of ['docker.io', 'registry-1.docker.io', 'quay.io', 'gateway.lan']) {
    t.deepEqual(await resolver.resolve4(name), ['192.0.2.10'], name);
    for (const type of ['AAAA', 'TXT']) await t.throwsAsync(resolver.resolve(name, type), { code: 'ENODATA' }, name);
  }
  t.deepEqual([...real.names], []);
  for (const name of ['cdn03.quay.io', 'hub.docker.io', 'www.gateway.lan', 'example.com']) {
    t.deepEqual(await resolver.resolve4(name), ['198.51.100.7'], name);
    t.deepEqual(await resolver.resolve6(name), ['2001:db8::7'], name);
  }
});
