import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import test, { type ExecutionContext } from 'ava';
import { openRoot } from '../../src/tls/root.ts';

const MAIN = join(import.meta.dirname, '../../src/cli/main.ts');

interface Checked {
  readonly code: number;
  readonly out: string;
}

async function directory(t: ExecutionContext, config: string): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'layover-check-'));
  t.teardown(() => rm(dir, { recursive: true, force: true }));
  await writeFile(join(dir, 'gateway.yaml'), config);
  return dir;
}

async function check(dir: string, args: readonly string[] = ['--json'], env: NodeJS.ProcessEnv = {}): Promise<Checked> {
  const child = spawn(process.execPath, [MAIN, 'check', '--config', 'gateway.yaml', ...args], {
    cwd: dir,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [out, [code]] = await Promise.all([text(child.stdout), once(child, 'exit')]);
  return { code: code as number, out };
}

/** The warnings as `key: message`, with `.` for the directory. */
async function warnings(dir: string, env: NodeJS.ProcessEnv = {}): Promise<string[]> {
  const { code, out } = await check(dir, ['--json'], env);
  const answer = JSON.parse(out) as { mistakes: unknown[]; warnings: { key: string; message: string }[] };
  if (code !== 0 || answer.mistakes.length > 0) throw new Error(out);
  const told = answer.warnings.map(({ key, message }) => `${key}: ${message}`.replaceAll(dir, '.'));
  return told.filter((line) => !line.startsWith('storage.root: '));
}

test('check warns of nothing with the defaults, and makes nothing', async (t) => {
  const dir = await directory(t, '');
  t.deepEqual(await warnings(dir), []);
  t.deepEqual(await readdir(dir), ['gateway.yaml']);
});

test('check warns of an admin listener that other machines reach', async (t) => {
  for (const address of ['":9464"', '0.0.0.0:9464', '192.0.2.1:9464', '"[2001:db8::1]:9464"', 'nas.lan:9464']) {
    const dir = await directory(t, `listen: { admin: ${address} }`);
    t.regex((await warnings(dir)).join('\n'), /^listen\.admin: .* can be reached by other machines/, address);
  }
  for (const address of ['127.0.0.2:9464', '"[::1]:9464"', 'localhost:9464']) {
    t.deepEqual(await warnings(await directory(t, `listen: { admin: ${address} }`)), [], address);
  }
});

test('check warns of proxies that are everybody', async (t) => {
  const dir = await directory(t, 'listen: { proxies: [127.0.0.1, 0.0.0.0/0, "::/0"] }');
  const [first, second] = await warnings(dir);
  t.regex(first ?? '', /^listen\.proxies: 0\.0\.0\.0\/0 is everybody/);
  t.regex(second ?? '', /^listen\.proxies: ::\/0 is everybody/);
  t.deepEqual(await warnings(await directory(t, 'listen: { proxies: [127.0.0.1, 10.0.0.0/8] }')), []);
});

test('check warns of patterns that match no repository of their registry', async (t) => {
  const account = 'username: u, passwordFile: secret, serve:';
  const dir = await directory(
    t,
    `upstreams:
  ghcr.io: { credentials: { ${account} ["ghcr.io/acme/**", "acme/**", ghcr.io] } }
  docker.io: { credentials: { ${account} [nginx, "**", "*/app"] }, allow: ["alpine:3*", "library/*:3*"] }
  quay.io: { deny: ["quay.io/acme/app:v*", "acme/**"] }
  zone: { hosts: ["*.reg.example"], allow: ["one.reg.example/acme", acme] }
`,
  );
  await writeFile(join(dir, 'secret'), 'x', { mode: 0o600 });
  t.deepEqual(await warnings(dir), [
    'upstreams.docker.io.allow[0]: alpine:3* matches nothing: repositories of Docker Hub have two components, such as library/alpine:3*',
    'upstreams.docker.io.credentials.serve[0]: nginx matches nothing: repositories of Docker Hub have two components, such as library/nginx',
    'upstreams.ghcr.io.credentials.serve[0]: ghcr.io/acme/** matches nothing: patterns are written without the namespace, so acme/**',
    'upstreams.quay.io.deny[0]: quay.io/acme/app:v* matches nothing: patterns are written without the namespace, so acme/app:v*',
    'upstreams.zone.allow[0]: one.reg.example/acme matches nothing: patterns are written without the namespace, so acme',
  ]);
});

test('check warns of an account that is never used, and of patterns of one in a list', async (t) => {
  const dir = await directory(
    t,
    `upstreams:
  ghcr.io:
    clientCert: { chain: ./chain.pem, key: ./secret }
    credentials:
      - { username: a, passwordFile: secret, repositories: ["ghcr.io/acme/**"] }
      - { username: b, passwordFile: secret }
      - { username: c, passwordFile: secret, repositories: ["late/**"] }
`,
  );
  await writeFile(join(dir, 'secret'), 'x');
  await chmod(join(dir, 'secret'), 0o604);
  const loose = './secret can be read or changed by others (mode 604): chmod 600 ./secret';
  t.deepEqual(await warnings(dir), [
    'upstreams.ghcr.io.credentials[0].repositories[0]: ghcr.io/acme/** matches nothing: patterns are written without the namespace, so acme/**',
    'upstreams.ghcr.io.credentials[2]: credentials[1] is for every repository',
    'upstreams.ghcr.io.clientCert.chain: ./chain.pem cannot be read: ENOENT',
    `upstreams.ghcr.io.clientCert.key: ${loose}`,
    `upstreams.ghcr.io.credentials[0].passwordFile: ${loose}`,
    `upstreams.ghcr.io.credentials[1].passwordFile: ${loose}`,
    `upstreams.ghcr.io.credentials[2].passwordFile: ${loose}`,
  ]);
});

test('check warns of an account that is shown to whatever host a client names', async (t) => {
  const zone = 'hosts: ["*.reg.example"], urls: ["https://*.own.example"]';
  const dir = await directory(
    t,
    `upstreams: { zone: { ${zone}, credentials: { username: u, passwordFile: secret } } }`,
  );
  await writeFile(join(dir, 'secret'), 'x', { mode: 0o600 });
  t.deepEqual(await warnings(dir), [
    'upstreams.zone.credentials: the password is sent to every host of *.own.example that a client names and that asks for it',
  ]);
});

test('check warns of files that others can read or that are not there', async (t) => {
  const dir = await directory(
    t,
    'upstreams: { ghcr.io: { ca: ./ca.pem, credentials: { username: u, passwordFile: ./secret } } }',
  );
  await writeFile(join(dir, 'secret'), 'x');
  await chmod(join(dir, 'secret'), 0o640);
  t.deepEqual(await warnings(dir), [
    'upstreams.ghcr.io.ca: ./ca.pem cannot be read: ENOENT',
    'upstreams.ghcr.io.credentials.passwordFile: ./secret can be read or changed by others (mode 640): chmod 600 ./secret',
  ]);
});

test('check warns of hosts that the root CA does not cover', async (t) => {
  const dir = await directory(t, 'names: [late.lan, gateway.lan]\nupstreams: { registry.example.com: {} }');
  const permittedDns = ['docker.io', 'ghcr.io', 'gateway.lan', 'quay.io', 'lscr.io', 'registry.k8s.io', 'gcr.io'];
  await openRoot({
    dir: join(dir, 'certs'),
    permittedDns: [...permittedDns, 'mcr.microsoft.com', 'public.ecr.aws'],
    permittedIps: [],
  });
  t.deepEqual(await warnings(dir), [
    'certs: no certificate covers late.lan, so clients cannot reach it here: make a root that does (ca renew)',
    'certs: no certificate covers registry.example.com, so clients cannot reach it here: make a root that does (ca renew)',
  ]);
});

test('check warns of a directory of the root CA that others can enter', async (t) => {
  const dir = await directory(t, 'names: [gateway.lan]');
  const certs = join(dir, 'certs');
  await mkdir(certs);
  await openRoot({ dir: certs, permittedDns: ['gateway.lan'], permittedIps: [] });
  await chmod(certs, 0o755);
  const [warning, ...more] = await warnings(dir);
  t.regex(warning ?? '', /^certs: .*certs.*700/);
  t.deepEqual(more, []);
});

test('check warns of a variable that sets nothing', async (t) => {
  const dir = await directory(t, '');
  t.deepEqual(await warnings(dir, { LAYOVER_LISTEN_HTPS: ':1', LAYOVER_SERVICE_PORT: '80' }), [
    'LAYOVER_LISTEN_HTPS: sets nothing (did you mean LAYOVER_LISTEN_HTTPS?)',
  ]);
});

test('check warns of storage in memory, also when it has not been made yet', async (t) => {
  if (!existsSync('/dev/shm')) {
    t.pass();
    return;
  }
  const { out } = await check(await directory(t, ''), ['--json'], { LAYOVER_STORAGE_ROOT: '/dev/shm/layover/data' });
  t.like(JSON.parse(out), { warnings: [{ key: 'storage.root' }] });
});

test('check prints warnings after what is configured, and mistakes as JSON with exit code 2', async (t) => {
  const dir = await directory(t, 'listen: { admin: ":9464" }');
  const { code, out } = await check(dir, []);
  t.is(code, 0);
  t.regex(out, /^the configuration is right\n(?: {2}.*\n)+warning: listen\.admin: /);
  const wrong = await check(await directory(t, 'lisen: {}'));
  t.is(wrong.code, 2);
  t.regex((JSON.parse(wrong.out) as { mistakes: string[] }).mistakes[0] ?? '', /^gateway\.yaml:1:1 lisen: /);
});
