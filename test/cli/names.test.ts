import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { corefile, dnsmasq, hostsFile, namesOf, showNames } from '../../src/cli/names.ts';
import type { Config } from '../../src/config/config.ts';
import { loadConfig } from '../../src/config/load.ts';

const HUB = 'docker.io index.docker.io registry-1.docker.io';
const FEW = `upstreams: {lscr.io: null, registry.k8s.io: null, gcr.io: null, mcr.microsoft.com: null, public.ecr.aws: null, quay.io: null}
`;

function configOf(text = ''): Promise<Config> {
  return loadConfig({ text: FEW + text, env: {}, cwd: '/' });
}

test('every name of the configured registries is told once, and the own names, but no addresses', async (t) => {
  const config = await configOf('names: [gateway.lan, 192.0.2.10]\n');
  t.is(await showNames(config, {}), `auth.docker.io\n${HUB.replaceAll(' ', '\n')}\nghcr.io\ngateway.lan\n`);
});

test('a hosts file has a line for each address and registry', async (t) => {
  const names = namesOf(await configOf(), ['192.0.2.10', '2001:db8::10']);
  const lines = [`auth.docker.io ${HUB}`, 'ghcr.io', 'gateway.lan'];
  const expected = names.addresses.flatMap((address) => lines.map((line) => `${address} ${line}\n`));
  t.is(hostsFile(names), expected.join(''));
});

test('a configuration of CoreDNS asks what is not ours of the name servers that the gateway asks', async (t) => {
  const config = await configOf('dns: { servers: [9.9.9.9, "[2620:fe::fe]:53"] }\n');
  const text = corefile(namesOf(config, ['192.0.2.10']));
  t.regex(text, /^ {8}192\.0\.2\.10 ghcr\.io$/m);
  t.regex(text, /^ {4}forward \. 9\.9\.9\.9 \[2620:fe::fe\]:53$/m);
  t.false(text.includes('template'));
});

test('a wildcard leads one more label to the gateway, for CoreDNS alone', async (t) => {
  const text = FEW.replace('}', ', azure: { hosts: ["*.azurecr.io"] }}');
  const config = await loadConfig({ text: `${text}dns: { servers: [9.9.9.9] }\n`, env: {}, cwd: '/' });
  const names = namesOf(config, ['192.0.2.10']);
  t.deepEqual(names.wildcards, ['*.azurecr.io']);
  t.regex(corefile(names), /template IN A azurecr\.io \{\n +match \^\[\^\.\]\+\\\.azurecr\\\.io\\\.\$\n/);
  t.notRegex(corefile(names), /IN AAAA/);
  t.regex(corefile(namesOf(config, ['2001:db8::10'])), /60 IN AAAA 2001:db8::10"/);
  for (const render of [hostsFile, dnsmasq]) t.throws(() => render(names), { message: /\*\.azurecr\.io/ });
});

test('what is missing or wrong is told with what was expected', async (t) => {
  const config = await configOf();
  await t.throwsAsync(showNames(config, { format: 'bind' }), { message: /names, hosts, dnsmasq, corefile/ });
  for (const address of ['', 'gateway.lan', '192.0.2.10,', '192.0.2.10 192.0.2.11'])
    await t.throwsAsync(showNames(config, { format: 'hosts', address }), { message: /--address: expected/ });
  await t.throwsAsync(showNames(config, { format: 'corefile', address: '192.0.2.10' }), { message: /^dns\.servers: / });
});

test('a file is replaced whole', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'layover-names-'));
  t.teardown(() => rm(folder, { recursive: true }));
  const [config, out] = [await configOf(), join(folder, 'hosts')];
  for (const address of ['192.0.2.10', '192.0.2.11']) {
    t.is(await showNames(config, { format: 'hosts', address, out }), '');
    t.regex(await readFile(out, 'utf8'), new RegExp(`^${address} ghcr\\.io$`, 'm'));
  }
  t.deepEqual(await readdir(folder), ['hosts']);
});
