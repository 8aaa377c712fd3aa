import test from 'ava';
import type { CatalogEntry } from '../../src/index/catalog.ts';
import { Catalog, searchOf } from '../../src/pages/catalog.ts';

/** `count` repositories, every third of them private. */
function entries(count: number): readonly CatalogEntry[] {
  return Array.from({ length: count }, (_, index) => ({
    repository: `docker.io/${index % 3 === 2 ? 'private' : 'library'}/r${String(index).padStart(5, '0')}`,
    size: index,
    used: 1_000_000 - index,
  }));
}

const isOpen = async (name: string): Promise<boolean> => !name.includes('private');
const names = ({ repositories }: { readonly repositories: readonly CatalogEntry[] }) =>
  repositories.map(({ repository }) => repository);

test('a query is a part of names and a page from 1, whatever is asked', (t) => {
  const cases: readonly (readonly [string, string, number])[] = [
    ['', '', 1],
    ['q=nginx&page=3', 'nginx', 3],
    ['q=%20a%20&page=-1', 'a', 1],
    ['page=1e9', '', 1],
    ['page=x', '', 1],
    [`q=${'a'.repeat(500)}`, 'a'.repeat(100), 1],
  ];
  for (const [text, query, page] of cases) t.deepEqual(searchOf(new URLSearchParams(text)), { query, page }, text);
});

test('pages hold fifty in the order of last use, and the private ones neither show nor count', async (t) => {
  using catalog = new Catalog(async () => entries(300), isOpen);
  const first = await catalog.find({ query: '', page: 1 });
  t.like(first, { state: 'known', page: 1, pages: 4, found: 200 });
  t.is(first.repositories.length, 50);
  t.deepEqual(names(first).slice(0, 3), [
    'docker.io/library/r00000',
    'docker.io/library/r00001',
    'docker.io/library/r00003',
  ]);
  const last = await catalog.find({ query: '', page: 99 });
  t.like(last, { page: 4, pages: 4 });
  t.is(names(last).at(-1), 'docker.io/library/r00298');
  t.like(await catalog.find({ query: 'private', page: 1 }), { found: 0, pages: 1, repositories: [] });
  t.deepEqual(names(await catalog.find({ query: 'R00100', page: 1 })), ['docker.io/library/r00100']);
});

test('what was closed a moment ago is not shown, although it was found before', async (t) => {
  const closed = new Set<string>();
  using catalog = new Catalog(
    async () => entries(2),
    async (name) => !closed.has(name),
  );
  t.is((await catalog.find({ query: '', page: 1 })).repositories.length, 2);
  closed.add('docker.io/library/r00000');
  t.deepEqual(names(await catalog.find({ query: '', page: 1 })), ['docker.io/library/r00001']);
});

test('one look at the index serves many readers, and none is taken while nobody reads', async (t) => {
  let looks = 0;
  using catalog = new Catalog(async (limit) => {
    t.is(limit, 20_000);
    looks += 1;
    return entries(100);
  }, isOpen);
  t.is(looks, 0);
  await Promise.all(Array.from({ length: 50 }, () => catalog.find({ query: '', page: 1 })));
  t.is(looks, 1);
});

test('while the index says nothing, readers are told to come again', async (t) => {
  let known: readonly CatalogEntry[] | undefined;
  using catalog = new Catalog(async () => known, isOpen);
  t.like(await catalog.find({ query: 'a', page: 5 }), { state: 'reading', query: 'a', page: 1, repositories: [] });
  known = entries(1);
  t.is((await catalog.find({ query: '', page: 1 })).state, 'known');
});

test('an index that takes its time keeps no reader waiting for long', async (t) => {
  const answer = Promise.withResolvers<readonly CatalogEntry[]>();
  using catalog = new Catalog(() => answer.promise, isOpen);
  t.is((await catalog.find({ query: '', page: 1 })).state, 'reading');
  answer.resolve(entries(1));
  t.is((await catalog.find({ query: '', page: 1 })).state, 'known');
});

test('all names are given in byte order, a page at a time, without the private ones', async (t) => {
  const open = entries(30).toReversed();
  using catalog = new Catalog(async () => open, isOpen);
  const sorted = names({ repositories: open })
    .filter((name) => !name.includes('private'))
    .sort();
  t.deepEqual(await catalog.names(100), sorted);
  t.deepEqual(await catalog.names(7), sorted.slice(0, 7));
  t.deepEqual(await catalog.names(7, sorted[6]), sorted.slice(7, 14));
  using unknown = new Catalog(async () => undefined, isOpen);
  t.deepEqual(await unknown.names(7), []);
});
