import test from 'ava';
import fc from 'fast-check';
import { Catalog } from '../../src/hosted/catalog.ts';
import { isRepositoryName } from '../../src/oci/name.ts';
import { MAX_PAGE, nextLink, pageOf, parsePage } from '../../src/oci/paging.ts';
import { FileBackend } from '../../src/store/file-backend.ts';
import { directoryOf } from '../store/directory.ts';
import { MemoryBackend } from '../store/memory-backend.ts';

test('a page is what n and last say, within what a registry gives at once', (t) => {
  t.deepEqual(parsePage(''), { limit: MAX_PAGE });
  t.deepEqual(parsePage('n=5&last=a%2Fb'), { limit: 5, after: 'a/b' });
  t.deepEqual(parsePage('n=0&last='), { limit: 0 });
  t.deepEqual(parsePage('n=99999999'), { limit: MAX_PAGE });
  for (const n of ['', '-1', '1.5', 'all', '0x1', '1e3', '9'.repeat(10)])
    t.throws(() => parsePage(`n=${n}`), { code: 'PAGINATION_NUMBER_INVALID' }, n);
});

test('only a page that is not the last leads to another', (t) => {
  t.deepEqual(pageOf({ limit: 2 }, ['a', 'b', 'c']), { entries: ['a', 'b'], isLast: false });
  t.deepEqual(pageOf({ limit: 2 }, ['a', 'b']), { entries: ['a', 'b'], isLast: true });
  t.deepEqual(pageOf({ limit: 0 }, []), { entries: [], isLast: true });
  t.is(nextLink('/v2/_catalog', { n: '2', last: 'a/b c' }), '</v2/_catalog?n=2&last=a%2Fb+c>; rel="next"');
});

test('repositories are listed in the byte order of their names, whatever these begin with', async (t) => {
  const word = fc.constantFrom('a', 'b', '0', 'a-b', 'a.b', 'a_b', 'a--b', 'ab', '0b');
  const name = fc.array(word, { minLength: 1, maxLength: 3 }).map((words) => words.join('/'));
  await fc.assert(
    fc.asyncProperty(fc.uniqueArray(name, { maxLength: 30 }), fc.integer({ min: 1, max: 7 }), async (names, limit) => {
      const catalog = new Catalog(new MemoryBackend());
      for (const one of names) await catalog.add(one);
      const found: string[] = [];
      for (;;) {
        const page = await catalog.list(limit, found.at(-1));
        found.push(...page);
        if (page.length < limit) break;
      }
      t.deepEqual(found, [...names].sort());
      t.true(names.every(isRepositoryName));
    }),
    { seed: 20261121, numRuns: 200 },
  );
});

test('a repository may have the beginning of another one’s name, and the longest name there is', async (t) => {
  const directory = directoryOf(t);
  const names = ['a', 'a/b', 'a/b/c', 'a-b', `long/${'x'.repeat(250)}`];
  const catalog = new Catalog(new FileBackend(directory));
  for (const name of names) await catalog.add(name);
  const again = new Catalog(new FileBackend(directory));
  t.deepEqual(await again.list(10, undefined), [...names].sort());
  t.deepEqual(await again.list(10, 'a-zz'), ['a/b', 'a/b/c', `long/${'x'.repeat(250)}`]);
  t.true(await again.has('a/b'));
  t.false(await again.has('b'));
});
