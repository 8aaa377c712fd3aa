import test from 'ava';
import fc from 'fast-check';
import { readDocument } from '../../src/config/document.ts';
import { CLIENTS, MODES, recipeOf } from '../../src/setup/recipe.ts';
import { Unsuitable } from '../../src/setup/unsuitable.ts';
import { gateway } from './gateways.ts';
import { after, copiesOf, debian, edits, type Files, journalOf, planned } from './plans.ts';

const DAEMON = '/etc/docker/daemon.json';
const HOSTS = '/etc/hosts';
const K3S = '/etc/rancher/k3s/registries.yaml';
const BUILDKIT = '/etc/buildkit/buildkitd.toml';
const mirrored = { ...debian, dockerStore: 'containerd' } as const;

test('each client gets the files of its way, and no others', (t) => {
  const paths = (...args: Parameters<typeof edits>): string[] => edits(...args).map(({ path }) => path);
  const root = '/usr/local/share/ca-certificates/layover-7f3bf44c.crt';
  t.deepEqual(paths('system'), [root, HOSTS]);
  t.deepEqual(paths('docker'), [DAEMON, root, '/etc/docker/certs.d/ghcr.io/layover.crt', HOSTS]);
  t.deepEqual(paths('docker', 'mirror'), [DAEMON]);
  t.deepEqual(paths('docker', 'transparent'), [root, '/etc/docker/certs.d/ghcr.io/layover.crt', HOSTS]);
  const hosts = ['docker.io', 'ghcr.io'].map((name) => `/etc/docker/certs.d/${name}/hosts.toml`);
  t.deepEqual(paths('docker', 'auto', mirrored), hosts);
  t.deepEqual(paths('podman'), ['/etc/containers/registries.conf.d/layover.conf']);
  t.deepEqual(paths('crio'), paths('podman'));
  t.deepEqual(
    paths('containerd'),
    ['docker.io', 'ghcr.io'].map((name) => `/etc/containerd/certs.d/${name}/hosts.toml`),
  );
  t.deepEqual(paths('k3s'), [K3S]);
  t.deepEqual(paths('buildkit'), [BUILDKIT]);
  for (const client of ['podman', 'containerd', 'k3s', 'crio'] as const)
    t.deepEqual(paths(client, 'transparent'), [root, HOSTS], client);
});

test('a way that a client does not know is refused, with what to do instead', (t) => {
  t.throws(() => edits('system', 'mirror'), { instanceOf: Unsuitable, message: /name a client/ });
  t.throws(() => edits('buildkit', 'transparent'), { instanceOf: Unsuitable, message: /--mode mirror/ });
  t.throws(() => edits('system', 'auto', { ...debian, trust: undefined }), { message: /install ca-certificates/ });
});

test('with a mirror pulls go on while the gateway is down, and with names led to it they fail; both are said', (t) => {
  for (const client of CLIENTS) {
    for (const mode of MODES) {
      if ((client === 'system' && mode === 'mirror') || (client === 'buildkit' && mode === 'transparent')) continue;
      const { edits: made, whenDown } = recipeOf(client, mode, gateway, debian);
      const isByName = made.some(({ path }) => path === HOSTS);
      t.is(/pulls and pushes fail/.test(whenDown), isByName, `${client} ${mode}`);
      t.is(
        /pulls go on/.test(whenDown),
        made.some(({ path }) => path !== HOSTS && !path.endsWith('.crt')),
        `${client} ${mode}`,
      );
    }
  }
});

/** What stands in a file after a client was set up, by what stood there before. */
const STATES: readonly (readonly [string, Parameters<typeof edits>, string, string | undefined, string | RegExp])[] = [
  [
    'a mirror makes daemon.json',
    ['docker', 'mirror'],
    DAEMON,
    undefined,
    '{\n  "registry-mirrors": ["http://gateway.lan:5000"]\n}\n',
  ],
  [
    'and fills an empty one',
    ['docker', 'mirror'],
    DAEMON,
    ' {} \n',
    '{\n  "registry-mirrors": ["http://gateway.lan:5000"]\n}\n',
  ],
  [
    'other keys keep their bytes',
    ['docker', 'mirror'],
    DAEMON,
    '{\n    "log-driver":   "json-file"\n}',
    '{\n    "registry-mirrors": ["http://gateway.lan:5000"],\n    "log-driver":   "json-file"\n}',
  ],
  [
    'in one line too',
    ['docker', 'mirror'],
    DAEMON,
    '{"a":1}',
    '{"registry-mirrors": ["http://gateway.lan:5000"],"a":1}',
  ],
  [
    'other mirrors come after the gateway',
    ['docker', 'mirror'],
    DAEMON,
    '{"registry-mirrors" : [ "https://other.example" ], "a": {"registry-mirrors": []}}',
    '{"registry-mirrors" : [ "http://gateway.lan:5000", "https://other.example" ], "a": {"registry-mirrors": []}}',
  ],
  [
    'an empty list is filled',
    ['docker', 'mirror'],
    DAEMON,
    '{"registry-mirrors": [ ]}',
    '{"registry-mirrors": ["http://gateway.lan:5000"]}',
  ],
  ['what is not JSON is left alone', ['docker', 'mirror'], DAEMON, '{"a": 1, // why\n}', /not valid JSON.*mend it/],
  ['a mirror that is no list is left alone', ['docker', 'mirror'], DAEMON, '{"registry-mirrors": "x"}', /is no list/],
  ['what is no object is left alone', ['docker', 'mirror'], DAEMON, '[]', /expected a JSON object/],
  [
    'the names come last in the hosts file',
    ['podman', 'transparent'],
    HOSTS,
    '127.0.0.1 localhost',
    '127.0.0.1 localhost\n# layover setup podman: begin\n192.0.2.10 docker.io index.docker.io registry-1.docker.io auth.docker.io\n192.0.2.10 ghcr.io\n# layover setup podman: end\n',
  ],
  [
    'a name that is there already is no comment',
    ['system'],
    HOSTS,
    '10.0.0.1 x\n# 10.0.0.1 ghcr.io\n',
    /layover setup system/,
  ],
  [
    'a name that is there already is refused',
    ['system'],
    HOSTS,
    '10.0.0.1 x\n10.0.0.1\tghcr.io\n',
    /^\/etc\/hosts:2: it names ghcr\.io already/,
  ],
  [
    'mirrors of k3s come first below the key',
    ['k3s'],
    K3S,
    '# mine\nmirrors: # here\n    quay.io:\n        endpoint: ["https://q"]\nconfigs:\n  docker.io:\n    auth: {}\n',
    '# mine\nmirrors: # here\n    # layover setup k3s: begin\n    "docker.io":\n      endpoint: ["http://gateway.lan:5000"]\n    "ghcr.io":\n      endpoint: ["http://gateway.lan:5000"]\n    # layover setup k3s: end\n    quay.io:\n        endpoint: ["https://q"]\nconfigs:\n  docker.io:\n    auth: {}\n',
  ],
  [
    'a key without mirrors gets them',
    ['k3s'],
    K3S,
    'configs: {}\nmirrors:\n',
    /mirrors:\n {2}# layover setup k3s: begin\n {2}"docker\.io":/,
  ],
  [
    'a key that is not there is made',
    ['k3s'],
    K3S,
    'configs: {}\n',
    /^configs: \{\}\n# layover setup k3s: begin\nmirrors:\n {2}"docker/,
  ],
  [
    'a registry that k3s has already is refused',
    ['k3s'],
    K3S,
    'mirrors:\n  docker.io:\n    endpoint: []\n',
    /:2: it has docker\.io already/,
  ],
  ['a flow mapping is refused', ['k3s'], K3S, 'mirrors: {a: {endpoint: []}}\n', /not written as a block/],
  ['a whole flow document is refused', ['k3s'], K3S, '{configs: {}}\n', /not a mapping in block form/],
  [
    'tables of a builder come last',
    ['buildkit'],
    BUILDKIT,
    'debug = true\n',
    /^debug = true\n# layover setup buildkit: begin\n\[registry\."docker\.io"\]\n/,
  ],
  ['a table that is there is refused', ['buildkit'], BUILDKIT, '[registry]\n', /a \[registry\."name"\] of its own/],
  [
    'and so is one of that registry',
    ['buildkit'],
    BUILDKIT,
    "a = 1\n [ registry . 'ghcr.io' ]\n",
    /:2: it has a \[registry\."ghcr\.io"\]/,
  ],
];

for (const [title, args, path, before, expected] of STATES) {
  test(`${args[0]}: ${title}`, (t) => {
    const files: Files = before === undefined ? {} : { [path]: before };
    const result = (): string => {
      try {
        return after(planned(args[0], edits(...args), files), files)[path] ?? '';
      } catch (error) {
        if (error instanceof Unsuitable) return error.message;
        throw error;
      }
    };
    if (typeof expected === 'string') t.is(result(), expected);
    else t.regex(result(), expected);
  });
}

test('what was inserted for k3s is read as the mirrors that were meant', (t) => {
  const files = { [K3S]: 'mirrors:\n  quay.io:\n    endpoint: [x]\n' };
  const text = after(planned('k3s', edits('k3s'), files), files)[K3S] ?? '';
  t.deepEqual(readDocument(text).root.value, {
    mirrors: {
      'docker.io': { endpoint: ['http://gateway.lan:5000'] },
      'ghcr.io': { endpoint: ['http://gateway.lan:5000'] },
      'quay.io': { endpoint: ['x'] },
    },
  });
});

test('one setting for every registry leaves the registry itself to the client', (t) => {
  const every = (client: 'containerd' | 'k3s') =>
    recipeOf(client, 'auto', { ...gateway, isDefault: true }, debian).edits;
  t.deepEqual(every('containerd'), [
    {
      kind: 'file',
      path: '/etc/containerd/certs.d/_default/hosts.toml',
      content: '[host."http://gateway.lan:5000"]\n  capabilities = ["pull", "resolve"]\n',
    },
  ]);
  const text = after(planned('k3s', every('k3s'), {}), {})[K3S] ?? '';
  t.deepEqual(readDocument(text).root.value, { mirrors: { '*': { endpoint: ['http://gateway.lan:5000'] } } });
  t.throws(() => planned('k3s', every('k3s'), { [K3S]: 'mirrors:\n  "*":\n    endpoint: []\n' }), {
    message: /it has \* already/,
  });
});

test('podman: a registry that the main file has is refused, for ours would take its place', (t) => {
  const files = { '/etc/containers/registries.conf': '[[registry]]\nprefix = "docker.io"\n' };
  t.throws(() => planned('podman', edits('podman'), files), {
    message: /registries\.conf:2: .*\[\[registry\.mirror\]\]/,
  });
  const old = { '/etc/containers/registries.conf': "[registries.search]\nregistries = ['docker.io']\n" };
  t.throws(() => planned('podman', edits('podman'), old), { message: /first version/ });
});

test('a file of the same name that is not ours is refused; one that says the same is left as theirs', (t) => {
  const [first] = edits('containerd');
  const path = first?.path ?? '';
  t.throws(() => planned('containerd', edits('containerd'), { [path]: 'server = "x"\n' }), {
    message: /is there already, and not by us: [\s\S]*\[host\."http:\/\/gateway\.lan:5000"\]/,
  });
  const content = first?.kind === 'file' ? first.content : '';
  const plan = planned('containerd', edits('containerd'), { [path]: content });
  t.false(plan.entries.some((entry) => entry.path === path));
});

test('all reasons are told at once', (t) => {
  const files = { [DAEMON]: 'no', [HOSTS]: '1.1.1.1 ghcr.io\n' };
  t.throws(() => planned('docker', edits('docker'), files), { message: /daemon\.json[\s\S]*\n\/etc\/hosts:1/ });
});

test('a second run finds nothing to change', (t) => {
  for (const client of CLIENTS) {
    const files = { [HOSTS]: '127.0.0.1 localhost\n', [DAEMON]: '{"a": 1}' };
    const first = planned(client, edits(client), files);
    const scene = { journal: journalOf(first), copy: copiesOf(first.entries, files) };
    const second = planned(client, edits(client), after(first, files), scene);
    t.deepEqual([second.changes, second.entries], [[], first.entries], client);
  }
});

test('other settings replace the ones before, as if those had never been', (t) => {
  const files = { [HOSTS]: '127.0.0.1 localhost\n', [DAEMON]: '{"a": 1}' };
  const first = planned('docker', edits('docker'), files);
  const scene = { journal: journalOf(first), copy: copiesOf(first.entries, files) };
  const now = after(first, files);
  const second = planned('docker', edits('docker', 'mirror'), now, scene);
  t.deepEqual(after(second, now), after(planned('docker', edits('docker', 'mirror'), files), files));
});

test('what somebody changed since stays, and our part goes', (t) => {
  const files = { [HOSTS]: '127.0.0.1 localhost\n', [DAEMON]: '{"a": 1}', [K3S]: 'mirrors:\n  quay.io: {}\n' };
  const theirs: Readonly<Record<string, (text: string) => string>> = {
    docker: (text) => text.replace('"a": 1', '"b": [2]').replace('localhost', 'localhost me'),
    k3s: (text) => text.replace('quay.io', 'quay.example'),
  };
  for (const client of ['docker', 'k3s'] as const) {
    const edit = theirs[client] ?? String;
    const first = planned(client, edits(client), files);
    const scene = { journal: journalOf(first), copy: copiesOf(first.entries, files) };
    const made = Object.entries(after(first, files)).map(([path, text]) => [
      path,
      path.endsWith('.crt') ? text : edit(text),
    ]);
    const now = Object.fromEntries(made) as Files;
    const expected = Object.fromEntries(Object.entries(files).map(([path, text]) => [path, edit(text)]));
    t.deepEqual(after(planned(client, [], now, scene), now), expected, client);
  }
});

test('daemon.json is cleared of the mirror in whatever form it was written since', (t) => {
  const first = planned('docker', edits('docker', 'mirror'), { [DAEMON]: '{"a": 1}' });
  const undone = (text: string) => {
    const plan = planned('docker', [], { [DAEMON]: text }, { journal: journalOf(first) });
    return after(plan, { [DAEMON]: text })[DAEMON];
  };
  t.is(undone('{"a": 1,\n "registry-mirrors": [\n "http://gateway.lan:5000" ] }'), '{"a": 1 }');
  t.is(undone('{"registry-mirrors": ["https://x", "http://gateway.lan:5000"]}'), '{"registry-mirrors": ["https://x"]}');
  t.is(undone('{"registry-mirrors": ["http://gateway.lan:5000", "https://x"]}'), '{"registry-mirrors": ["https://x"]}');
  const strange = '{"registry-mirrors": ["http:\\/\\/gateway.lan:5000"]}';
  t.is(undone(strange), strange);
});

test('a file of ours that somebody changed stays, and that is said', (t) => {
  const first = planned('podman', edits('podman'), {});
  const path = '/etc/containers/registries.conf.d/layover.conf';
  const now = { [path]: 'theirs' };
  const plan = planned('podman', [], now, { journal: journalOf(first) });
  t.deepEqual(plan.changes, []);
  t.regex(plan.remarks[0] ?? '', /was changed since by somebody else, and stays as it is/);
  t.throws(() => planned('podman', edits('podman'), now, { journal: journalOf(first) }), { message: /move it away/ });
});

test('what two clients need stays until the second is undone', (t) => {
  const files = { [HOSTS]: '127.0.0.1 localhost\n' };
  const system = planned('system', edits('system'), files);
  const one = after(system, files);
  const docker = planned('docker', edits('docker'), one, { others: [journalOf(system)] });
  const both = after(docker, one);
  const undo = planned('system', [], both, { journal: journalOf(system), others: [journalOf(docker)] });
  const left = after(undo, both);
  t.deepEqual(Object.keys(left).filter((path) => path.endsWith('7f3bf44c.crt')).length, 1);
  const end = planned('docker', [], left, { journal: journalOf(docker), copy: copiesOf(docker.entries, one) });
  t.deepEqual(after(end, left), files);
});

test('setting up and undoing gives the files that were there, whatever they were', (t) => {
  const text = fc.oneof(
    fc.string({ unit: 'binary-ascii' }),
    fc.constantFrom('{}', '{"a": 1}', 'mirrors:\n', '127.0.0.1 x', ''),
  );
  const file = fc.option(text, { nil: undefined });
  fc.assert(
    fc.property(fc.constantFrom(...CLIENTS), file, file, file, file, (client, hosts, daemon, k3s, buildkit) => {
      const all = { [HOSTS]: hosts, [DAEMON]: daemon, [K3S]: k3s, [BUILDKIT]: buildkit };
      const files = Object.fromEntries(Object.entries(all).filter(([, content]) => content !== undefined)) as Files;
      let first: ReturnType<typeof planned>;
      try {
        first = planned(client, edits(client), files);
      } catch (error) {
        return error instanceof Unsuitable;
      }
      const scene = { journal: journalOf(first), copy: copiesOf(first.entries, files) };
      const now = after(first, files);
      t.deepEqual(after(planned(client, [], now, scene), now), files);
      return true;
    }),
  );
});
