import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import fc from 'fast-check';
import { Database } from '../../src/index/database.ts';
import { Journal } from '../../src/index/journal.ts';
import { rebuild } from '../../src/index/rebuild.ts';
import type { Digest } from '../../src/oci/digest.ts';
import { CacheFiles, described } from './files.ts';

const NOTHING = { repositories: [], digests: [] };
const unpaced = async (): Promise<void> => {};

function inventoryOf(database: Database, kept = NOTHING) {
  const inventory = database.inventory(kept);
  return { inventory, digests: database.digests([...inventory.ids]) };
}

function contentOf(database: Database): Record<string, object> {
  const { inventory, digests } = inventoryOf(database);
  return described(inventory, digests);
}

/** Its digests as they would go: heads only, what was not used for longest first. */
function order(database: Database): (Digest | undefined)[] {
  const { inventory, digests } = inventoryOf(database);
  return [...inventory.order].map((position) => digests[position]);
}

type Step =
  | { readonly kind: 'blob'; readonly seed: number }
  | { readonly kind: 'manifest'; readonly of: readonly number[]; readonly tagged: boolean }
  | { readonly kind: 'remove'; readonly which: number };

const steps = fc.array(
  fc.oneof(
    fc.record({ kind: fc.constant('blob' as const), seed: fc.nat(5) }),
    fc.record({
      kind: fc.constant('manifest' as const),
      of: fc.array(fc.nat(9), { maxLength: 4 }),
      tagged: fc.boolean(),
    }),
    fc.record({ kind: fc.constant('remove' as const), which: fc.nat(9) }),
  ),
  { maxLength: 14 },
);

async function play(files: CacheFiles, played: readonly Step[]): Promise<void> {
  const known: Digest[] = [];
  for (const [index, step] of played.entries()) {
    const repository = `docker.io/library/r${index % 3}`;
    const pick = (which: number): Digest[] => known.slice(which % (known.length || 1)).slice(0, 1);
    if (step.kind === 'blob') known.push(await files.blob(repository, Buffer.alloc(step.seed * 1000, step.seed)));
    else if (step.kind === 'remove') for (const digest of pick(step.which)) await files.remove(digest);
    else known.push(await files.manifest(repository, step.of.flatMap(pick), step.tagged ? `Tag-${index}` : undefined));
  }
}

test('an index that is made from the files is the one that events made', async (t) => {
  await fc.assert(
    fc.asyncProperty(steps, fc.nat(14), async (played, cut) => {
      const { files } = CacheFiles.make(t);
      await play(files, played);
      using fed = new Database();
      const journal = new Journal();
      for (const [index, event] of files.events.entries()) {
        journal.note(event);
        if (index === cut) fed.apply(journal.take());
      }
      fed.apply(journal.take());
      using made = new Database();
      await rebuild(files.backend, made, unpaced);
      t.deepEqual(contentOf(made), contentOf(fed));
      // Reading the files again changes nothing, in either.
      await rebuild(files.backend, made, unpaced);
      await rebuild(files.backend, fed, unpaced);
      t.deepEqual(contentOf(made), contentOf(fed));
      t.deepEqual([...fed.repositories()].sort(), [...made.repositories()].sort());
    }),
    { numRuns: 60 },
  );
});

test('a walk finds what no event told: files that came and went behind its back', async (t) => {
  const { files } = CacheFiles.make(t);
  const layer = await files.blob('docker.io/library/a', Buffer.from('layer'));
  const image = await files.manifest('docker.io/library/a', [layer]);
  using database = new Database();
  t.false(database.isWhole);
  await rebuild(files.backend, database, unpaced);
  t.true(database.isWhole);
  await files.remove(image);
  const late = await files.blob('docker.io/library/b', Buffer.from('late'));
  await rebuild(files.backend, database, unpaced);
  t.deepEqual(Object.keys(contentOf(database)).sort(), [layer, late].sort());
});

test('what is stored while a walk runs is not taken for gone', async (t) => {
  const { files } = CacheFiles.make(t);
  await files.blob('docker.io/library/a', Buffer.from('before'));
  using database = new Database();
  let once = true;
  await rebuild(files.backend, database, async () => {
    if (!once) return;
    once = false;
    const journal = new Journal();
    journal.note({ phase: 'stored', digest: `sha256:${'a'.repeat(64)}`, size: 1, repository: 'docker.io/library/a' });
    database.apply(journal.take());
  });
  t.is(Object.keys(contentOf(database)).length, 2);
});

test('uses count in their order, whatever the clock says', async (t) => {
  const { files } = CacheFiles.make(t);
  const one = await files.blob('docker.io/library/a', Buffer.from('one'));
  const two = await files.blob('docker.io/library/a', Buffer.from('two'));
  using database = new Database();
  const journal = new Journal();
  const use = (digest: Digest): void => {
    journal.note({ phase: 'used', digest });
    database.apply(journal.take());
  };
  for (const event of files.events) journal.note(event);
  database.apply(journal.take());
  const now = Date.now;
  t.teardown(() => {
    Date.now = now;
  });
  const day = 86_400_000;
  for (const [shift, digest, expected] of [
    [400 * day, one, [two, one]],
    [-400 * day, two, [one, two]],
    [0, one, [two, one]],
  ] as const) {
    Date.now = () => now() + shift;
    use(digest);
    t.deepEqual(order(database), [...expected]);
  }
});

test('what a repository has and what digests are asked for is marked as kept', async (t) => {
  const { files } = CacheFiles.make(t);
  const layer = await files.blob('docker.io/library/a', Buffer.from('layer'));
  const image = await files.manifest('docker.io/library/a', [layer], 'latest');
  const other = await files.blob('ghcr.io/acme/b', Buffer.from('other'));
  using database = new Database();
  await rebuild(files.backend, database, unpaced);
  t.deepEqual([...database.repositories()].sort(), ['docker.io/library/a', 'ghcr.io/acme/b']);
  const kept = (repositories: string[], digests: Digest[]): (Digest | undefined)[] => {
    const found = inventoryOf(database, { repositories, digests } as never);
    return [...found.inventory.kept].map((position) => found.digests[position]).sort();
  };
  t.deepEqual(kept(['docker.io/library/a'], []), [layer, image].sort());
  t.deepEqual(kept([], [other]), [other]);
  t.deepEqual(kept([], [`sha256:${'0'.repeat(64)}`]), []);
});

test('a use a moment ago is recent, one of an earlier life or of long ago is not', async (t) => {
  const { files } = CacheFiles.make(t);
  const old = await files.blob('docker.io/library/a', Buffer.from('old'));
  await sleep(5);
  using database = new Database();
  await rebuild(files.backend, database, unpaced);
  const fresh = await files.blob('docker.io/library/a', Buffer.from('fresh'));
  const journal = new Journal();
  for (const event of files.events.slice(1)) journal.note(event);
  database.apply(journal.take());
  const { inventory, digests } = inventoryOf(database);
  const isRecent = (digest: Digest): boolean => (inventory.used[digests.indexOf(digest)] ?? 0) > inventory.recent;
  t.deepEqual([isRecent(old), isRecent(fresh)], [false, true]);
});

test('the catalog has what is here, the last used first, and a shared layer tells nothing of who has it too', async (t) => {
  const { files } = CacheFiles.make(t);
  const layer = await files.blob('docker.io/library/base', Buffer.from('layer'));
  await files.manifest('docker.io/library/base', [layer]);
  await files.blob('ghcr.io/acme/app', Buffer.from('layer'));
  const app = await files.manifest('ghcr.io/acme/app', [layer]);
  await files.blob('quay.io/only/layers', Buffer.from('layer'));
  const gone = await files.blob('quay.io/gone/away', Buffer.from('gone'));
  await files.remove(gone);
  using database = new Database();
  const journal = new Journal();
  for (const event of files.events) journal.note(event);
  database.apply(journal.take());
  const before = database.catalog(10);
  t.deepEqual(
    before.map(({ repository }) => repository),
    ['ghcr.io/acme/app', 'docker.io/library/base', 'quay.io/only/layers'],
  );
  t.is(before[2]?.used, 0);
  t.deepEqual(
    before.map(({ size }) => size > 'layer'.length),
    [true, true, false],
  );
  journal.note({ phase: 'used', digest: layer, repository: 'ghcr.io/acme/app' });
  journal.note({ phase: 'used', digest: app, repository: 'ghcr.io/acme/app' });
  database.apply(journal.take());
  const after = database.catalog(10);
  t.true((after[0]?.used ?? 0) > (before[0]?.used ?? 0));
  t.deepEqual(after.slice(1), before.slice(1));
  t.is(database.catalog(1).length, 1);
});

test('a walk does not forget whose a blob is that was used and is not stored yet', async (t) => {
  const { files } = CacheFiles.make(t);
  const layer = await files.blob('docker.io/library/a', Buffer.from('layer'));
  await files.manifest('docker.io/library/a', [layer]);
  using database = new Database();
  const journal = new Journal();
  const coming = `sha256:${'c'.repeat(64)}`;
  for (const event of files.events) journal.note(event);
  journal.note({ phase: 'used', digest: coming, repository: 'docker.io/library/a' });
  database.apply(journal.take());
  const [before] = database.catalog(1);
  await rebuild(files.backend, database, unpaced);
  journal.note({ phase: 'stored', digest: coming, size: 1000 });
  database.apply(journal.take());
  t.is(database.catalog(1)[0]?.size, (before?.size ?? 0) + 1000);
});
