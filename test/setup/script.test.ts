import { execFile, execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { readDocument } from '../../src/config/document.ts';
import { apply, prepare } from '../../src/setup/apply.ts';
import { Disk } from '../../src/setup/disk.ts';
import type { Gateway } from '../../src/setup/gateway.ts';
import { CLIENTS, type Client, MODES, type Mode, recipeOf } from '../../src/setup/recipe.ts';
import { setupScript } from '../../src/setup/script.ts';
import { survey } from '../../src/setup/survey.ts';
import { Unsuitable } from '../../src/setup/unsuitable.ts';
import { gateway as example } from './gateways.ts';
import { content, grow, picture, type Tree, usual } from './trees.ts';

const [root] = example.roots;
const pin = root?.fingerprint ?? '';

interface Shell {
  readonly program: string;
  readonly args: readonly string[];
  /** Where all its commands are. */
  readonly path: string;
}

const DASH: Shell = { program: '/bin/sh', args: [], path: '/usr/sbin:/usr/bin:/sbin:/bin' };

/** With nothing but the commands of busybox and curl, or undefined when there is none. */
function busybox(t: ExecutionContext): Shell | undefined {
  const program = ['/usr/bin/busybox', '/bin/busybox'].find((path) => existsSync(path));
  if (program === undefined) return undefined;
  const path = mkdtempSync(join(tmpdir(), 'layover-busybox-'));
  t.teardown(() => rmSync(path, { recursive: true, force: true }));
  execFileSync(program, ['--install', '-s', path]);
  // Debian's busybox is linked statically, and then its wget crashes when it looks up an address.
  symlinkSync('/usr/bin/curl', join(path, 'curl'));
  return { program, args: ['sh'], path };
}

/** With these of the awks that systems have, as far as this machine has them. */
function awks(t: ExecutionContext): readonly Shell[] {
  return ['/usr/bin/mawk', '/usr/bin/gawk'].filter(existsSync).map((program) => {
    const path = mkdtempSync(join(tmpdir(), 'layover-awk-'));
    t.teardown(() => rmSync(path, { recursive: true, force: true }));
    symlinkSync(program, join(path, 'awk'));
    return { ...DASH, path: `${path}:${DASH.path}` };
  });
}

/** A gateway as far as the script needs one, on a port of its own. */
async function serve(t: ExecutionContext, certificates = root?.pem ?? ''): Promise<Gateway> {
  t.timeout(180_000);
  const server = createServer((request, response) => {
    response.end(request.url?.endsWith('/ca.crt') ? certificates : '');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => server.close());
  return { ...example, host: '127.0.0.1', port: (server.address() as AddressInfo).port, address: '127.0.0.1' };
}

interface Outcome {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Runs the script as it is meant to be: read from standard input. */
function run({ program, args, path }: Shell, gateway: Gateway, words: readonly string[]): Promise<Outcome> {
  // A builder in a container must not be sent to this machine, so that the gateway has another name for it.
  const named = words.includes('buildkit') ? example : gateway;
  const proxy = named !== gateway && { http_proxy: `http://${gateway.host}:${gateway.port}` };
  return new Promise((resolve) => {
    const child = execFile(
      program,
      [...args, '-s', '--', ...words],
      { env: { PATH: path, ...proxy }, timeout: 50_000 },
      (error, out, err) => {
        resolve({ code: typeof error?.code === 'number' ? error.code : error === null ? 0 : -1, out, err });
      },
    );
    child.stdin?.on('error', () => {});
    child.stdin?.end(setupScript(named));
  });
}

/** What the command does, or why it does not. */
async function command(at: Gateway, root: string, client: Client, mode?: Mode): Promise<string> {
  const gateway = client === 'buildkit' ? { ...example, isDefault: at.isDefault ?? false } : at;
  const disk = new Disk(root);
  try {
    const edits = mode === undefined ? [] : recipeOf(client, mode, gateway, survey(disk, {})).edits;
    const prepared = prepare(client, edits, disk, (text) => readDocument(text).root.value);
    if (prepared.plan.changes.length > 0) await apply(prepared, disk, async () => true);
    return '';
  } catch (error) {
    if (error instanceof Unsuitable) return error.message;
    throw error;
  }
}

const settled: Tree = {
  ...usual,
  '/etc/docker/daemon.json': { content: '{\n  "log-driver": "json-file"\n}', mode: 0o600 },
  '/etc/rancher/k3s/registries.yaml': { content: '# mine\nmirrors:\n\n  # why\n    quay.io: {}\n', mode: 0o640 },
  '/etc/containerd/config.toml': 'version = 2\n\n[plugins]\n',
  '/etc/buildkit/buildkitd.toml': 'debug = true',
};

/** Sets up by the script on one tree and by the command on another, twice, and undoes both; all must be alike. */
async function compare(
  t: ExecutionContext,
  shell: Shell,
  gateway: Gateway,
  client: Client,
  mode: Mode,
  tree: Tree,
  further: readonly string[] = [],
): Promise<void> {
  const [ours, theirs] = [grow(t, tree), grow(t, tree)];
  const before = picture(theirs);
  const isDefault = further.includes('--default');
  const refused = await command({ ...gateway, isDefault }, ours, client, mode);
  const words = ['--fingerprint', pin, client, '--mode', mode, '--root', theirs, ...further];
  const dry = await run(shell, gateway, words);
  t.deepEqual(picture(theirs), before, `${client} ${mode} without --apply`);
  const first = await run(shell, gateway, [...words, '--apply']);
  const title = `${client} ${mode}\n${first.out}${first.err}`;
  t.deepEqual([dry.code, first.code], refused === '' ? [0, 0] : [2, 2], title);
  t.deepEqual(content(theirs), content(ours), title);
  if (refused !== '') return;
  t.regex(first.out, /\ndone\n$/);
  const again = await run(shell, gateway, [...words, '--apply']);
  t.regex(again.out, /nothing to change/, `${client} ${mode}\n${again.out}${again.err}`);
  t.deepEqual(content(theirs), content(ours), title);
  const undone = await run(shell, gateway, [client, '--undo', '--apply', '--root', theirs]);
  t.deepEqual(picture(theirs), before, `${client} ${mode}\n${undone.out}${undone.err}`);
}

for (const client of CLIENTS) {
  test(`${client}: the script does what the command does, by every way, and undoes it without a trace`, async (t) => {
    const gateway = await serve(t);
    for (const mode of MODES) await compare(t, DASH, gateway, client, mode, mode === 'auto' ? settled : usual);
  });
}

test('with nothing but busybox and curl it does the same', async (t) => {
  const shell = busybox(t);
  if (shell === undefined) {
    t.pass('there is no busybox on this machine');
    t.log('not run: there is no busybox on this machine');
    return;
  }
  const gateway = await serve(t);
  for (const client of ['docker', 'k3s', 'containerd', 'buildkit'] as const)
    await compare(t, shell, gateway, client, 'auto', settled);
  await compare(t, shell, gateway, 'podman', 'transparent', usual);
});

test('one setting for every registry, where clients know that, and rke2 in the place of k3s', async (t) => {
  const gateway = await serve(t);
  for (const client of ['containerd', 'k3s', 'buildkit'] as const)
    await compare(t, DASH, gateway, client, 'auto', settled, ['--default']);
  await compare(t, DASH, gateway, 'k3s', 'auto', { '/etc/rancher/rke2/config.yaml': '' });
});

const DAEMONS: readonly string[] = [
  '',
  ' {} ',
  '{"a":1}',
  '{ "registry-mirrors" : [ "https://x" ], "a": {"registry-mirrors": []}}',
  '{"registry-mirrors": [ ]}',
  '{"a": {"registry-mirrors": ["x"]}, "registry-mirrors": []}',
  '{"registry-mirrors": "x"}',
  '{"a": 1, // why\n}',
  '{"a": [1, 2.5e3, true, null, "\\"\\u00e9"], "b": {}}\n',
  '{"a": 01}',
  '{"a": "\t"}',
  '{"a": 1,}',
  '[]',
];

test('the script inserts into every daemon.json as the command does, and refuses what that refuses', async (t) => {
  const gateway = await serve(t);
  const shells = [DASH, ...awks(t)];
  for (const [index, text] of DAEMONS.entries()) {
    const shell = shells[index % shells.length] ?? DASH;
    await compare(t, shell, gateway, 'docker', 'mirror', { '/etc/docker/daemon.json': text });
  }
});

const CLASHES: readonly (readonly [Client, Mode, Tree])[] = [
  ['system', 'auto', { ...usual, '/etc/hosts': '10.0.0.1 x\n10.0.0.1\tGHCR.io\n' }],
  ['system', 'auto', { ...usual, '/etc/hosts': '# 10.0.0.1 ghcr.io\n10.0.0.1 aghcr.io' }],
  ['system', 'auto', {}],
  ['k3s', 'auto', { '/etc/rancher/k3s/registries.yaml': 'mirrors:\n  docker.io:\n    endpoint: []\n' }],
  ['k3s', 'auto', { '/etc/rancher/k3s/registries.yaml': 'mirrors: {}\n' }],
  ['k3s', 'auto', { '/etc/rancher/k3s/registries.yaml': '{configs: {}}\n' }],
  ['k3s', 'auto', { '/etc/rancher/k3s/registries.yaml': 'configs:\n  docker.io:\n    auth: {}\n' }],
  ['buildkit', 'auto', { '/etc/buildkit/buildkitd.toml': "[ registry . 'ghcr.io' ]\n" }],
  ['podman', 'auto', { '/etc/containers/registries.conf': '[[registry]]\nprefix = "docker.io"\n' }],
  ['containerd', 'auto', { '/etc/containerd/certs.d/ghcr.io/hosts.toml': 'server = "x"\n' }],
  [
    'containerd',
    'auto',
    {
      '/etc/containerd/config.toml':
        'version = 2\n[plugins."io.containerd.grpc.v1.cri".registry]\nconfig_path = "/srv/a:/srv/b"\n',
    },
  ],
  ['containerd', 'auto', { '/etc/containerd/config.toml': 'version = 3\n' }],
];

test('the script refuses what somebody has set up already, as the command does', async (t) => {
  const gateway = await serve(t);
  for (const [client, mode, tree] of CLASHES) {
    await compare(t, DASH, gateway, client, mode, tree);
  }
});

test('what one of them set up the other undoes, also when somebody changed it since', async (t) => {
  const gateway = await serve(t);
  for (const client of ['docker', 'system', 'k3s'] as const) {
    const tree = grow(t, settled);
    const before = picture(tree);
    await run(DASH, gateway, ['--fingerprint', pin, client, '--apply', '--root', tree]);
    await command(gateway, tree, client);
    t.deepEqual(picture(tree), before, client);
    await command(gateway, tree, client, 'auto');
    const { out, err } = await run(DASH, gateway, [client, '--undo', '--apply', '--root', tree]);
    t.deepEqual(picture(tree), before, `${client}\n${out}${err}`);
  }
});

test('the script takes out its part alone when somebody changed the file since', async (t) => {
  const gateway = await serve(t);
  const shells = awks(t);
  for (const client of ['docker', 'k3s'] as const) {
    const trees = [undefined, ...shells].map(() => grow(t, settled));
    for (const tree of trees) {
      await command(gateway, tree, client, 'auto');
      const edit = 's/json-file/local/; s/quay.io/quay.example/; s/localhost/localhost me/';
      for (const path of Object.keys(settled).filter((name) => /json$|yaml$|hosts$/.test(name)))
        execFileSync('sed', ['-i', edit, tree + path]);
    }
    const [ours = '', ...theirs] = trees;
    await command(gateway, ours, client);
    for (const [index, tree] of theirs.entries()) {
      const { out, err } = await run(shells[index] ?? DASH, gateway, [client, '--undo', '--apply', '--root', tree]);
      t.deepEqual(content(tree), content(ours), `${out}${err}`);
      t.notRegex(JSON.stringify(content(tree)), /layover setup|registry-mirrors/);
    }
  }
  t.true(shells.length > 0 || !existsSync('/usr/bin/mawk'));
});

async function setUp(t: ExecutionContext, gateway: Gateway, tree: string, clients: readonly string[]): Promise<void> {
  for (const client of clients)
    t.is((await run(DASH, gateway, ['--fingerprint', pin, client, '--apply', '--root', tree])).code, 0);
}

test('two clients share a root, and the script leaves it until the second is undone', async (t) => {
  const gateway = await serve(t);
  const tree = grow(t, settled);
  const before = content(tree);
  await setUp(t, gateway, tree, ['system', 'docker']);
  const ours = grow(t, settled);
  for (const client of ['system', 'docker'] as const) await command(gateway, ours, client, 'auto');
  t.deepEqual(content(tree), content(ours));
  await run(DASH, gateway, ['system', '--undo', '--apply', '--root', tree]);
  t.true(Object.keys(content(tree)).some((path) => /ca-certificates\/layover-/.test(path)));
  await run(DASH, gateway, ['docker', '--undo', '--apply', '--root', tree]);
  t.deepEqual(content(tree), before);
});

test('podman and CRI-O share their file by the script too, also when nothing had to be written for the second', async (t) => {
  const gateway = await serve(t);
  const tree = grow(t, usual);
  const before = picture(tree);
  await setUp(t, gateway, tree, ['podman', 'crio']);
  await run(DASH, gateway, ['podman', '--undo', '--apply', '--root', tree]);
  t.true('/etc/containers/registries.conf.d/layover.conf' in picture(tree));
  t.false('/var/lib/layover-setup/podman/journal' in picture(tree));
  await run(DASH, gateway, ['crio', '--undo', '--apply', '--root', tree]);
  t.deepEqual(picture(tree), before);
});

test('nothing is done without the fingerprint, or with that of another root', async (t) => {
  const gateway = await serve(t);
  const tree = grow(t, usual);
  const before = picture(tree);
  const none = await run(DASH, gateway, ['docker', '--apply', '--root', tree]);
  t.deepEqual([none.code, none.out], [2, '']);
  t.regex(none.err, /usage: curl .*\/setup\.sh \| sh -s -- --fingerprint SHA256 CLIENT/);
  const other = await run(DASH, gateway, ['--fingerprint', 'AB'.repeat(32), 'docker', '--apply', '--root', tree]);
  t.is(other.code, 2);
  t.regex(other.err, /which is not what --fingerprint says/);
  t.deepEqual(picture(tree), before);
});

test('of several roots only the pinned one is taken, in whatever form they and the pin are written', async (t) => {
  const second = '-----BEGIN CERTIFICATE-----\r\nb3RoZXI=\r\n-----END CERTIFICATE-----\r\n';
  const gateway = await serve(t, second + (root?.pem ?? ''));
  const tree = grow(t, usual);
  const bare = pin.replaceAll(':', '').toLowerCase();
  const { code, err } = await run(DASH, gateway, ['--fingerprint', bare, 'system', '--apply', '--root', tree]);
  t.deepEqual([code, err], [0, '']);
  const files = Object.entries(content(tree)).filter(([path]) => path.endsWith('.crt'));
  t.deepEqual(files, [[`/usr/local/share/ca-certificates/layover-${bare.slice(0, 8)}.crt`, `644 ${root?.pem}`]]);
});

test('a script that did not arrive whole does nothing', async (t) => {
  const gateway = await serve(t);
  const tree = grow(t, usual);
  mkdirSync(join(tree, 'tmp'));
  const before = picture(tree);
  const text = setupScript(gateway);
  for (const share of [0.3, 0.6, 0.9, 0.999]) {
    await new Promise<void>((resolve) => {
      const words = ['-s', '--', '--fingerprint', pin, 'docker', '--apply', '--root', tree];
      const child = execFile('/bin/sh', words, { timeout: 50_000 }, () => resolve());
      child.stdin?.end(text.slice(0, Math.floor(text.length * share)));
    });
    t.deepEqual(picture(tree), before);
  }
});
