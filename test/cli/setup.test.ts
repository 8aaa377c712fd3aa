import { execFile } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { content, grow, picture, usual } from '../setup/trees.ts';
import { createAuthority } from '../support/pki.ts';

const MAIN = join(import.meta.dirname, '../../src/cli/main.ts');
/** As the launcher sets it: reading the sources takes longer than everything else. */
const COMPILED = join(import.meta.dirname, '../../node_modules/.cache/compile');

interface Outcome {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** `layover …` in a directory of its own, whose configuration is the built-in one. */
async function place(t: ExecutionContext): Promise<(...words: readonly string[]) => Promise<Outcome>> {
  t.timeout(180_000);
  const cwd = await mkdtemp(join(tmpdir(), 'layover-setup-cli-'));
  t.teardown(() => rm(cwd, { recursive: true, force: true }));
  const env = { ...process.env, NODE_COMPILE_CACHE: COMPILED };
  return (...words) =>
    new Promise((resolve) => {
      execFile(process.execPath, [MAIN, ...words], { cwd, env, timeout: 50_000 }, (error, out, err) => {
        resolve({ code: typeof error?.code === 'number' ? error.code : error === null ? 0 : -1, out, err });
      });
    });
}

/** A gateway as far as setting up needs one: `/ca.crt` with these certificates. */
async function gateway(t: ExecutionContext, certificates: string): Promise<string> {
  const server = createServer((request, response) => {
    response.statusCode = request.url === '/ca.crt' ? 200 : 404;
    response.end(certificates);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => server.close());
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

test('without --apply it shows every change and makes none, with it they are made, and undone without a trace', async (t) => {
  const layover = await place(t);
  const root = grow(t, { ...usual, '/etc/docker/daemon.json': '{\n  "debug": true\n}\n' });
  const before = picture(root);
  await layover('ca', 'show');
  const args = ['setup', 'docker', '--root', root, '--gateway', '192.0.2.10'];
  const shown = await layover(...args);
  t.deepEqual([shown.code, shown.err], [0, '']);
  t.regex(shown.out, /^\+ {2}"registry-mirrors": \["http:\/\/192\.0\.2\.10:5000"\],$/m);
  t.regex(shown.out, /^\+192\.0\.2\.10 ghcr\.io$/m);
  t.regex(shown.out, /^\+\(the certificate with SHA-256 (?:[\dA-F]{2}:){31}[\dA-F]{2}\)$/m);
  t.regex(shown.out, /while the gateway is down:\n {2}docker\.io: clients ask the registries themselves/);
  t.regex(shown.out, /nothing is run for another root:\n {2}update-ca-certificates\n/);
  t.regex(shown.out, /nothing was changed; add --apply to do it\n$/);
  t.deepEqual(picture(root), before);

  t.is((await layover(...args, '--apply')).code, 0);
  t.regex(await readFile(join(root, 'etc/docker/daemon.json'), 'utf8'), /"registry-mirrors"[\s\S]*"debug": true/);
  const after = content(root);
  t.regex((await layover(...args, '--apply')).out, /nothing to change/);
  t.deepEqual(content(root), after);

  const undo = await layover('setup', 'docker', '--undo', '--root', root);
  t.regex(undo.out, /^-192\.0\.2\.10 ghcr\.io$/m);
  t.deepEqual(content(root), after);
  t.is((await layover('setup', 'docker', '--undo', '--apply', '--root', root)).code, 0);
  t.deepEqual(picture(root), before);
  t.regex((await layover('setup', 'docker', '--undo', '--apply', '--root', root)).out, /nothing to change/);
});

test('--json tells programs each file before and after', async (t) => {
  const layover = await place(t);
  const root = grow(t, { ...usual, '/etc/docker/daemon.json': '{"a": "ö"}' });
  const { out } = await layover(
    'setup',
    'docker',
    '--mode',
    'mirror',
    '--gateway',
    'gateway.lan:5080',
    '--root',
    root,
    '--json',
  );
  t.like(JSON.parse(out), {
    client: 'docker',
    state: 'planned',
    changes: [
      {
        path: '/etc/docker/daemon.json',
        action: 'change',
        before: '{"a": "ö"}',
        after: '{"registry-mirrors": ["http://gateway.lan:5080"],"a": "ö"}',
      },
    ],
    run: [],
  });
});

test('from another machine only a root that was pinned is trusted', async (t) => {
  const [one, other] = [createAuthority().ca, createAuthority().ca];
  const host = await gateway(t, one + other);
  const layover = await place(t);
  const root = grow(t, usual);
  const { fingerprint256 } = new X509Certificate(other);
  const args = ['setup', 'system', '--root', root, '--apply', '--gateway', host];
  const unpinned = await layover(...args);
  t.is(unpinned.code, 2);
  t.regex(unpinned.err, /no root CA in .*certs.*--fingerprint SHA256/);
  const wrong = await layover(...args, '--fingerprint', '0'.repeat(64));
  t.is(wrong.code, 2);
  t.regex(wrong.err, /offers [\dA-F:]{95}, [\dA-F:]{95}, which is not what --fingerprint says/);
  t.regex((await layover(...args, '--fingerprint', 'AA')).err, /expected the 64 hexadecimal digits/);
  t.deepEqual(picture(root), picture(grow(t, usual)));
  t.is((await layover(...args, '--fingerprint', fingerprint256.toLowerCase().replaceAll(':', ''))).code, 0);
  const files = Object.entries(content(root)).filter(([path]) => /layover-[\da-f]{8}\.crt$/.test(path));
  t.deepEqual(
    files.map(([, text]) => text),
    [`644 ${other.replaceAll('\r', '')}`],
  );
});

test('what cannot be asked for, or cannot be done, is said in a line with what to do', async (t) => {
  const layover = await place(t);
  const root = grow(t, { ...usual, '/etc/docker/daemon.json': '{ // no\n}' });
  const complaint = async (...words: readonly string[]): Promise<string> => {
    const { code, out, err } = await layover('setup', ...words);
    t.deepEqual([code, out], [2, ''], words.join(' '));
    return err;
  };
  t.regex(await complaint('nerdctl'), /expected one of system, docker, podman/);
  t.regex(await complaint('docker', '--mode', 'magic'), /--mode: expected one of auto, mirror, transparent/);
  t.regex(await complaint('system', '--mode', 'mirror'), /name a client/);
  t.regex(await complaint('podman', '--gateway', 'http://x/'), /expected HOST or HOST:PORT/);
  t.regex(await complaint('buildkit', '--root', root), /cannot reach 127\.0\.0\.1: add --gateway HOST/);
  t.regex(await complaint('docker', '--mode', 'mirror', '--root', root, '--apply'), /daemon\.json is not valid JSON/);
  t.is(await readFile(join(root, 'etc/docker/daemon.json'), 'utf8'), '{ // no\n}');
  await writeFile(join(root, 'etc/docker/daemon.json'), '{}');
  t.is((await layover('setup', 'docker', '--mode', 'mirror', '--root', root, '--apply')).code, 0);
});
