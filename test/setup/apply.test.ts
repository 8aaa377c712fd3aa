import { appendFileSync, chmodSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import test from 'ava';
import fc from 'fast-check';
import { readDocument } from '../../src/config/document.ts';
import { apply, isSettled, prepare } from '../../src/setup/apply.ts';
import { Disk } from '../../src/setup/disk.ts';
import type { Edit } from '../../src/setup/edit.ts';
import { CLIENTS, type Client } from '../../src/setup/recipe.ts';
import { Unsuitable } from '../../src/setup/unsuitable.ts';
import { edits } from './plans.ts';
import { content, grow, picture, type Tree, usual } from './trees.ts';

const yaml = (text: string): unknown => readDocument(text).root.value;
const succeed = async (): Promise<boolean> => true;

/** Sets a client up, or with no edits undoes it. */
async function set(
  root: string,
  client: Client,
  wanted: readonly Edit[],
  onStep?: (step: string) => void,
): Promise<number> {
  const disk = new Disk(root);
  const prepared = prepare(client, wanted, disk, yaml);
  await apply(prepared, disk, succeed, onStep);
  return prepared.plan.changes.length;
}

const settled: Tree = {
  ...usual,
  '/etc/docker/daemon.json': { content: '{\n  "log-driver": "json-file"\n}', mode: 0o600 },
  '/etc/rancher/k3s/registries.yaml': { content: 'mirrors:\n  quay.io: {}\n', mode: 0o640 },
};

test('every client is set up and undone without a trace: content, modes, times and directories', async (t) => {
  for (const tree of [usual, settled]) {
    for (const client of CLIENTS) {
      const root = grow(t, tree);
      const before = picture(root);
      t.true((await set(root, client, edits(client))) > 0);
      t.notDeepEqual(content(root), before);
      t.is(await set(root, client, edits(client)), 0, 'the second run changes nothing');
      await set(root, client, []);
      t.deepEqual(picture(root), before, client);
    }
  }
});

test('all clients at once, undone in whatever order', async (t) => {
  const orders = [CLIENTS.toReversed(), [...CLIENTS], [...CLIENTS.slice(3), ...CLIENTS.slice(0, 3)]];
  for (const order of orders) {
    const root = grow(t, settled);
    const before = content(root);
    const [crio, ...others] = [...CLIENTS].toReversed();
    t.is(crio, 'crio');
    for (const client of others) await set(root, client, edits(client));
    for (const client of order.filter((name) => name !== 'crio')) await set(root, client, []);
    t.deepEqual(content(root), before);
  }
});

test('podman and CRI-O share their file, which goes with the second of them', async (t) => {
  const root = grow(t, usual);
  const before = picture(root);
  for (const client of ['podman', 'crio'] as const) {
    t.false(isSettled(prepare(client, edits(client), new Disk(root), yaml)), client);
    await set(root, client, edits(client));
    t.true(isSettled(prepare(client, edits(client), new Disk(root), yaml)), client);
  }
  await set(root, 'podman', []);
  t.true('/etc/containers/registries.conf.d/layover.conf' in picture(root));
  await set(root, 'crio', []);
  t.deepEqual(picture(root), before);
});

test('a file keeps its mode while it is changed, and its bytes that are no UTF-8', async (t) => {
  const hosts = Buffer.concat([Buffer.from('127.0.0.1 localhost # '), Buffer.from([0xff, 0xfe, 0x0a])]);
  const root = grow(t, { ...usual, '/etc/hosts': { content: hosts, mode: 0o664 } });
  await set(root, 'system', edits('system'));
  t.is(statSync(`${root}/etc/hosts`).mode & 0o7777, 0o664);
  t.deepEqual(readFileSync(`${root}/etc/hosts`).subarray(0, hosts.length), hosts);
  await set(root, 'system', []);
  t.deepEqual(readFileSync(`${root}/etc/hosts`), hosts);
});

test('interrupted before any of its steps, a run again does the rest, and an undo repairs', async (t) => {
  for (const client of ['docker', 'k3s', 'containerd'] as const) {
    const steps: string[] = [];
    const whole = grow(t, settled);
    const before = content(whole);
    await set(whole, client, edits(client), (step) => steps.push(step));
    const [{ length }, after] = [steps, content(whole)];
    for (const isUndone of [false, true]) {
      for (let at = 0; at < length; at++) {
        const root = grow(t, settled);
        await t.throwsAsync(set(root, client, edits(client), interruption(at)), { message: 'interrupted' });
        await set(root, client, isUndone ? [] : edits(client));
        t.deepEqual(content(root), isUndone ? before : after, `${client}: ${steps[at]}, ${isUndone}`);
      }
    }
  }
});

test('an undo that was interrupted before any of its steps is ended by the next, or taken back by a run', async (t) => {
  const before = content(grow(t, settled));
  for (const isUndone of [false, true]) {
    for (let at = 0, hasMore = true; hasMore; at++) {
      const root = grow(t, settled);
      await set(root, 'docker', edits('docker'));
      const after = content(root);
      hasMore = await set(root, 'docker', [], interruption(at)).then(
        () => false,
        () => true,
      );
      await set(root, 'docker', isUndone ? [] : edits('docker'));
      t.deepEqual(content(root), isUndone ? before : after, `${at}`);
    }
  }
});

test('interrupted while other settings take the place of the ones before, an undo still leaves no trace', async (t) => {
  for (let at = 0, hasMore = true; hasMore; at++) {
    const root = grow(t, settled);
    const before = content(root);
    await set(root, 'docker', edits('docker', 'mirror'));
    const other = edits('docker').map((edit) =>
      edit.kind === 'entry' ? { ...edit, value: 'http://other:5000' } : edit,
    );
    hasMore = await set(root, 'docker', other, interruption(at)).then(
      () => false,
      () => true,
    );
    await set(root, 'docker', []);
    t.deepEqual(content(root), before, `${at}`);
  }
});

/** Throws at the step of this number. */
function interruption(at: number): () => void {
  let step = 0;
  return () => {
    if (step++ === at) throw new Error('interrupted');
  };
}

test('what an interrupted write left behind is swept away', async (t) => {
  const root = grow(t, settled);
  const before = picture(root);
  await set(root, 'docker', edits('docker'));
  writeFileSync(`${root}/etc/hosts.layover-new`, 'half');
  await set(root, 'docker', []);
  t.deepEqual(picture(root), before);
});

test('a journal says that commands are missing until they have succeeded', async (t) => {
  const root = grow(t, usual);
  const disk = new Disk(root);
  t.false(await apply(prepare('docker', edits('docker'), disk, yaml), disk, async () => false));
  const failed = prepare('docker', edits('docker'), disk, yaml);
  t.deepEqual([failed.plan.changes, failed.journals.own?.finished], [[], false]);
  await apply(failed, disk, succeed);
  t.true(prepare('docker', edits('docker'), disk, yaml).journals.own?.finished);
});

test('what somebody added since stays, and what we put in goes', async (t) => {
  const root = grow(t, usual);
  await set(root, 'system', edits('system'));
  appendFileSync(`${root}/etc/hosts`, '10.0.0.9 printer\n');
  chmodSync(`${root}/etc/hosts`, 0o600);
  await set(root, 'system', []);
  t.is(readFileSync(`${root}/etc/hosts`, 'utf8'), '127.0.0.1 localhost\n10.0.0.9 printer\n');
  t.is(statSync(`${root}/etc/hosts`).mode & 0o7777, 0o600);
});

test('in an image a symbolic link is not followed, for it might lead out of it', async (t) => {
  const root = grow(t, usual);
  const outside = grow(t, { '/daemon.json': '{}' });
  const tree = grow(t, { ...usual, '/etc/docker/x': '' });
  symlinkSync(`${outside}/daemon.json`, `${tree}/etc/docker/daemon.json`);
  await t.throwsAsync(set(tree, 'docker', edits('docker', 'mirror')), {
    instanceOf: Unsuitable,
    message: /symbolic link/,
  });
  t.is(readFileSync(`${outside}/daemon.json`, 'utf8'), '{}');
  t.deepEqual(content(root), content(grow(t, usual)));
});

test('on disk too, setting up and undoing gives the files that were there, whatever they were', async (t) => {
  const file = fc.option(
    fc.record({
      content: fc.oneof(
        fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes)),
        fc.constantFrom('{}\n', '{"a": [1]}', 'mirrors:\n', ''),
      ),
      mode: fc.constantFrom(0o600, 0o640, 0o644, 0o664),
    }),
    { nil: undefined },
  );
  const paths = [
    '/etc/hosts',
    '/etc/docker/daemon.json',
    '/etc/rancher/k3s/registries.yaml',
    '/etc/buildkit/buildkitd.toml',
  ];
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...CLIENTS), fc.tuple(file, file, file, file), async (client, files) => {
      const { '/etc/hosts': _, ...bare } = usual;
      const tree = Object.fromEntries(paths.flatMap((path, index) => (files[index] ? [[path, files[index]]] : [])));
      const root = grow(t, { ...bare, ...tree });
      const before = picture(root);
      try {
        await set(root, client, edits(client));
        await set(root, client, []);
      } catch (error) {
        if (!(error instanceof Unsuitable)) throw error;
      }
      t.deepEqual(picture(root), before);
    }),
    { numRuns: 60 },
  );
});
