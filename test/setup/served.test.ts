import { execFile } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { promisify } from 'node:util';
import test from 'ava';
import { loadConfig } from '../../src/config/load.ts';
import { openSetup } from '../../src/main/setup.ts';
import { RegistryError } from '../../src/oci/error.ts';
import { TestGateway } from '../support/gateway.ts';
import { content, grow, picture, usual } from './trees.ts';

const run = promisify(execFile);

test('the gateway serves the script and the steps, which set clients up for it', async (t) => {
  await using gateway = await TestGateway.start({ upstreams: [], further: { 'reg.example.com': {} } });
  const { fingerprint256 } = new X509Certificate(await gateway.rootCertificate());
  const tree = grow(t, usual);
  const before = picture(tree);
  const script = async (...words: readonly string[]): Promise<string> =>
    (await run('/bin/sh', ['-c', `curl -fsS ${gateway.own}/setup.sh | sh -s -- "$@"`, 'sh', ...words, '--root', tree]))
      .stdout;
  const pin = ['--fingerprint', fingerprint256];
  t.regex(await script(...pin, 'containerd', '--apply'), /\ndone\n$/);
  const hosts = Object.entries(content(tree)).filter(([path]) => path.endsWith('reg.example.com/hosts.toml'));
  t.deepEqual(hosts, [
    [
      '/etc/containerd/certs.d/reg.example.com/hosts.toml',
      `644 server = "https://reg.example.com"\n\n[host."${gateway.own}"]\n  capabilities = ["pull", "resolve"]\n`,
    ],
  ]);
  await script(...pin, 'system', '--apply');
  t.regex(content(tree)['/etc/hosts'] ?? '', /\n127\.0\.0\.1 reg\.example\.com\n/);
  for (const client of ['system', 'containerd']) await script(client, '--undo', '--apply');
  t.deepEqual(content(tree), content(grow(t, usual)));
  t.true(Object.keys(before).length > 0);

  const page = await (await fetch(`${gateway.own}/`, { headers: { accept: 'text/html' } })).text();
  t.true(page.includes(fingerprint256));
  t.true(page.includes(`curl -fsS ${gateway.own}/setup.sh`));
});

test('what a client sends as its Host is put into no script unless it is a name', async (t) => {
  await using gateway = await TestGateway.start({ upstreams: [] });
  const asked = async (host: string): Promise<string> =>
    (await run('curl', ['-s', '-w', '%{http_code}', '-H', `Host: ${host}`, `${gateway.own}/setup.sh`])).stdout;
  const named = await asked('cache.example:8080');
  t.true(named.includes("URL='http://cache.example:8080'\n"));
  for (const host of ["a';id;'", '$(id)', 'a`id`', 'a b', 'a"b', "x'"]) {
    const answer = await asked(host);
    t.regex(answer, /4\d\d$/, host);
    t.false(answer.includes('#!/bin/sh'), host);
  }
});

test('nor is it where nobody has looked at it before', async (t) => {
  const config = await loadConfig({ text: '', env: {}, cwd: '/' });
  const { script, instructions } = openSetup(config, { rootCertificates: '' });
  for (const origin of ["http://a';id;'", 'http://a$(id)', 'https://a`id`']) {
    const request = { origin, query: new URLSearchParams(), accept: [] };
    t.throws(() => script(request), { instanceOf: RegistryError }, origin);
    t.deepEqual(instructions(origin), []);
  }
  t.regex(JSON.stringify(instructions('https://[2001:db8::1]')), /http:\/\/\[2001:db8::1\]:5000/);
});
