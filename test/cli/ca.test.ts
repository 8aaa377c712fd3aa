import { execFile } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import test, { type ExecutionContext } from 'ava';
import { exportRoots, installRoots, renewRoot, showFingerprints, showRoots } from '../../src/cli/ca.ts';
import { installCommands, type Machine } from '../../src/cli/install.ts';
import type { Config } from '../../src/config/config.ts';
import { loadConfig } from '../../src/config/load.ts';
import { TestGateway } from '../support/gateway.ts';

const MAIN = join(import.meta.dirname, '../../src/cli/main.ts');

const run = promisify(execFile);

/** `layover ca …` in a process of its own, in a directory whose configuration is gateway.yaml. */
function layover(dir: string, ...words: readonly string[]) {
  const args = [MAIN, 'ca', ...words, '--config', 'gateway.yaml'];
  return run(process.execPath, args, { cwd: dir, encoding: 'buffer', timeout: 30_000 });
}

async function place(t: ExecutionContext): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'layover-ca-'));
  t.teardown(() => rm(dir, { recursive: true, force: true }));
  await writeFile(join(dir, 'gateway.yaml'), 'names: [gateway.lan]\n');
  return dir;
}

function configOf(dir: string): Promise<Config> {
  return loadConfig({ file: 'gateway.yaml', env: {}, cwd: dir });
}

function certificates(pem: string | Uint8Array): X509Certificate[] {
  const parts = String(pem).match(/-----BEGIN[\s\S]*?-----END CERTIFICATE-----\n/g) ?? [];
  return parts.map((part) => new X509Certificate(part));
}

test('the root is exported as PEM and DER, to standard output and to a file', async (t) => {
  const dir = await place(t);
  const config = await configOf(dir);
  const pem = await exportRoots(config, {});
  t.is(pem, await readFile(join(dir, 'certs/ca.crt'), 'utf8'));
  const [root] = certificates(pem);
  t.deepEqual((await layover(dir, 'export', '--der')).stdout, root?.raw);
  const file = join(dir, 'layover.der');
  t.is(await exportRoots(config, { der: true, out: file }), '');
  t.deepEqual(await readFile(file), root?.raw);
  t.is(await showFingerprints(config), `${root?.fingerprint256}  ${join(dir, 'certs/ca.crt')}\n`);
  await t.throwsAsync(exportRoots(config, { out: join(dir, 'nowhere/layover.crt') }), { code: 'ENOENT' });
});

test('the next root is made beside the serving one, exported with it, and activated', async (t) => {
  const dir = await place(t);
  const config = await configOf(dir);
  const none = { message: /no next root; make it first: layover ca renew/ };
  await t.throwsAsync(renewRoot(config, { activate: true }), none);
  await t.throwsAsync(exportRoots(config, { next: true }), none);
  const [before] = certificates(await exportRoots(config, {}));
  t.regex(await renewRoot(config, {}), /next\.crt\n {2}SHA-256 {2}[0-9A-F:]{95}\n/);
  const [serving, next, ...more] = certificates(await exportRoots(config, {}));
  t.is(serving?.fingerprint256, before?.fingerprint256);
  t.not(next?.fingerprint256, before?.fingerprint256);
  t.deepEqual(more, []);
  t.deepEqual(await exportRoots(config, { der: true, next: true }), next?.raw);
  t.is((await showFingerprints(config)).split('\n').length, 3);
  const shown = JSON.parse(await showRoots(config, { json: true })) as { fingerprint: string; next: typeof shown };
  t.deepEqual([shown.fingerprint, shown.next.fingerprint], [before?.fingerprint256, next?.fingerprint256]);
  t.regex(await showRoots(config, {}), /the next root, which does not serve yet:\nfile .*next\.crt/);
  const { stdout } = await layover(dir, 'renew', '--activate');
  t.true(String(stdout).includes(`SHA-256  ${next?.fingerprint256}`));
  const after = certificates(await exportRoots(config, {}));
  t.deepEqual(
    after.map(({ fingerprint256 }) => fingerprint256),
    [next?.fingerprint256],
  );
});

test('a root that is of no use any more can still be renewed', async (t) => {
  const dir = await place(t);
  const config = await configOf(dir);
  await showRoots(config, {});
  await writeFile(join(dir, 'certs/ca.crt'), 'no certificate any more');
  await t.throwsAsync(showRoots(config, {}));
  await renewRoot(config, {});
  await renewRoot(config, { activate: true });
  await t.notThrowsAsync(showRoots(config, {}));
});

test('a running gateway hands out both roots, and takes the switch without a restart', async (t) => {
  await using gateway = await TestGateway.start({ upstreams: [] });
  const config = await configOf(gateway.dir);
  const fetched = async () => certificates(await (await fetch(`${gateway.own}/ca.crt`)).text());
  const [before] = await fetched();
  await renewRoot(config, {});
  let roots = await fetched();
  for (; roots.length < 2; roots = await fetched()) await sleep(100);
  t.is(roots[0]?.fingerprint256, before?.fingerprint256);
  await renewRoot(config, { activate: true });
  for (; roots.length > 1; roots = await fetched()) await sleep(100);
  t.not(roots[0]?.fingerprint256, before?.fingerprint256);
});

test('the commands that install the roots are those of the system, one file per root', (t) => {
  const machine = (...paths: readonly string[]): Machine => ({
    platform: 'linux',
    has: (path) => paths.includes(path),
  });
  const roots = [
    { file: '/srv/certs/ca.crt', fingerprint: 'AB:CD:EF:01:23' },
    { file: "/srv/it's/next.crt", fingerprint: '00:11:22:33:44' },
  ];
  const debian = machine('/usr/local/share/ca-certificates', '/usr/sbin/update-ca-certificates');
  t.deepEqual(installCommands(debian, roots), [
    '# Debian, Ubuntu, Alpine',
    'install -m 644 /srv/certs/ca.crt /usr/local/share/ca-certificates/layover-abcdef01.crt',
    "install -m 644 '/srv/it'\\''s/next.crt' /usr/local/share/ca-certificates/layover-00112233.crt",
    'update-ca-certificates',
  ]);
  const fedora = machine(
    '/etc/pki/ca-trust/source/anchors',
    '/usr/bin/update-ca-trust',
    '/usr/bin/dockerd',
    '/usr/bin/systemctl',
  );
  t.deepEqual(installCommands(fedora, roots.slice(0, 1)), [
    '# RHEL, Fedora, Rocky, Alma',
    'install -m 644 /srv/certs/ca.crt /etc/pki/ca-trust/source/anchors/layover-abcdef01.crt',
    'update-ca-trust',
    '# they read the roots once',
    'systemctl restart docker',
  ]);
  t.deepEqual(installCommands(machine('/usr/local/share/ca-certificates'), roots), [], 'a folder alone is no system');
  t.regex(
    installCommands({ platform: 'darwin', has: () => false }, roots).join('\n'),
    /security add-trusted-cert .* \/srv\/certs\/ca\.crt/,
  );
  t.regex(installCommands({ platform: 'win32', has: () => false }, roots).join('\n'), /certutil -addstore -f Root "/);
});

test('nothing is installed, and without --dry-run that is said', async (t) => {
  const config = await configOf(await place(t));
  await t.throwsAsync(installRoots(config, {}), { message: /ca install --dry-run/ });
});
