import test from 'ava';
import { putBlock } from '../../src/setup/block.ts';
import { consequencesOf } from '../../src/setup/commands.ts';
import { containerdSetting } from '../../src/setup/containerd.ts';
import { survey } from '../../src/setup/survey.ts';
import { TRUST_STORES } from '../../src/setup/trust.ts';

const CERTS = '/etc/containerd/certs.d';
const CRI = '[plugins."io.containerd.grpc.v1.cri".registry]';

/** What becomes of containerd, in one word or the directory, by its configuration and version. */
const CASES: readonly (readonly [string, string | undefined, number | undefined, string])[] = [
  ['no file, version 1', undefined, 1, 'edit'],
  ['an empty file, version 1', '\n', 1, 'edit'],
  ['no file, version 2', undefined, 2, CERTS],
  ['no file, who knows which version', undefined, undefined, 'remark'],
  ['a file of version 2 without a registry table', 'version = 2\n[plugins]\n', 1, 'edit'],
  ['a file of version 2 on containerd 2', 'version = 2\n', 2, 'edit'],
  [
    'a file of version 3',
    "version = 3\n[plugins.'io.containerd.cri.v1.images'.registry]\n  config_path = ''\n",
    2,
    CERTS,
  ],
  [
    'a file of version 3 with a path',
    "version = 3\n[plugins.'io.containerd.cri.v1.images'.registry]\nconfig_path = '/a:/b'\n",
    2,
    '/a',
  ],
  ['another path', `version = 2\n ${CRI} # mine\n  config_path = "/srv/certs"\n`, 1, '/srv/certs'],
  [
    'a path elsewhere in the file',
    'version = 2\n[plugins."io.containerd.transfer.v1.local"]\nconfig_path = "/x"\n',
    1,
    'edit',
  ],
  ['an empty path', `version = 2\n${CRI}\n  config_path = ""\n`, 1, 'remark'],
  ['a table without a path', `version = 2\n${CRI}\n`, 1, 'remark'],
  [
    'older mirrors',
    `version = 2\n${CRI}\n[plugins."io.containerd.grpc.v1.cri".registry.mirrors."docker.io"]\n`,
    1,
    'older',
  ],
  [
    'the empty tables that containerd prints',
    `version = 2\n${CRI}\nconfig_path = "/c"\n[plugins."io.containerd.grpc.v1.cri".registry.mirrors]\n`,
    1,
    '/c',
  ],
  ['without Kubernetes', 'disabled_plugins = ["cri"]\n', 1, CERTS],
  ['without Kubernetes, its whole name', "disabled_plugins = ['x', 'io.containerd.grpc.v1.cri']\n", 1, CERTS],
  ['a file of version 1', '[plugins.cri]\n', 1, 'remark'],
];

for (const [title, text, version, expected] of CASES) {
  test(`containerd: ${title}`, (t) => {
    const { certs, edit, remark } = containerdSetting(text, version);
    const found = edit ? 'edit' : remark === undefined ? certs : /registry\.mirrors/.test(remark) ? 'older' : 'remark';
    t.is(found, expected);
    t.is(edit?.content.startsWith('version = 2\n') ?? false, edit !== undefined && (text ?? '').trim() === '');
  });
}

test('what we set ourselves is no reason to leave it out the next time', (t) => {
  const config = 'version = 2\n';
  const first = survey(machine({ '/etc/containerd/config.toml': config }), {
    containerdVersion: 'containerd x 1.6.20~ds1',
  });
  const text = putBlock(config, 'containerd', first.containerd.edit?.content ?? '');
  t.true(text.includes('config_path'));
  const second = survey(machine({ '/etc/containerd/config.toml': text }), {
    containerdVersion: 'containerd x v1.6.20',
  });
  t.deepEqual(second, first);
});

function machine(files: Readonly<Record<string, string>>) {
  return { has: (path: string) => path in files, read: (path: string) => files[path] };
}

test("docker's image store is what the daemon says, and what its settings say while it does not run", (t) => {
  const store = (dockerDriver: string | undefined, settings: string) =>
    survey(machine({ '/etc/docker/daemon.json': settings }), { dockerDriver }).dockerStore;
  t.is(store('[[driver-type io.containerd.snapshotter.v1]]', ''), 'containerd');
  t.is(store('[[Backing Filesystem extfs]]', '{"features": {"containerd-snapshotter": true}}'), 'classic');
  t.is(store(undefined, '{"features": {"containerd-snapshotter": true}}'), 'containerd');
  t.is(store(undefined, '{"features": {"containerd-snapshotter": false}}'), 'classic');
});

test('roots go to where the system keeps them, if its command is there', (t) => {
  const trust = (...paths: string[]) => survey(machine(Object.fromEntries(paths.map((path) => [path, '']))), {}).trust;
  t.is(trust('/etc/pki/ca-trust/source/anchors', '/usr/bin/update-ca-trust'), '/etc/pki/ca-trust/source/anchors');
  t.is(
    trust('/usr/local/share/ca-certificates', '/usr/sbin/update-ca-certificates'),
    '/usr/local/share/ca-certificates',
  );
  t.is(trust('/usr/local/share/ca-certificates'), undefined);
});

test('roots are merged, daemons that run are told, and restarts are left to people', (t) => {
  const [debian] = TRUST_STORES;
  const after = (paths: readonly string[], there: readonly string[], isGone = false) =>
    consequencesOf(
      paths.map((path) => ({ path, isGone })),
      debian,
      (path) => there.includes(path),
    );
  const root = '/usr/local/share/ca-certificates/layover-00.crt';
  t.deepEqual(after([root], []).run, ['update-ca-certificates']);
  t.deepEqual(after([root], [], true).run, ['update-ca-certificates --fresh']);
  const hooks = after([root], ['/etc/ca-certificates/update.d'], true).run;
  t.regex(hooks[1] ?? '', /^for hook in .*printf '%s\\n' -\/etc\/ssl\/certs\/layover-00\.pem \| "\$hook"/);
  const daemon = '/etc/docker/daemon.json';
  t.deepEqual(after([daemon], []).run, []);
  t.deepEqual(after([daemon], ['/run/docker.pid']).run, ['kill -HUP "$(cat /run/docker.pid)"']);
  t.deepEqual(after([daemon], ['/run/docker.pid', '/run/systemd/system']).run, ['systemctl reload docker']);
  const { run, left } = after(['/etc/containerd/config.toml', '/etc/rancher/k3s/registries.yaml'], []);
  t.deepEqual([run.length, left.length], [0, 2]);
  t.deepEqual(after(['/etc/containerd/certs.d/docker.io/hosts.toml'], []), { run: [], left: [] });
});
