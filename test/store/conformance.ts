import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import fc from 'fast-check';
import type { Backend } from '../../src/store/backend.ts';
import { directoryOf } from './directory.ts';

const text = (bytes: Uint8Array | undefined): string | undefined => bytes && Buffer.from(bytes).toString();
const content = async (backend: Backend, key: string): Promise<string | undefined> =>
  text((await backend.get(key))?.bytes);

/** Registers the tests that every backend passes. */
export function backendConformance(name: string, open: (t: ExecutionContext) => Backend): void {
  const check = (title: string, body: (t: ExecutionContext, backend: Backend) => Promise<void>): void =>
    test(`${name}: ${title}`, (t) => body(t, open(t)));

  check('what is not there is undefined', async (t, backend) => {
    t.is(await backend.open('a/b'), undefined);
    t.is(await backend.get('a/b'), undefined);
    t.is(await backend.stat('a/b'), undefined);
    t.false(await backend.remove('a/b'));
    t.deepEqual(await backend.list(''), []);
  });

  check('an object can be read, replaced and removed', async (t, backend) => {
    t.true(await backend.put('a/b', Buffer.from('one'), { durable: true }));
    t.is(await content(backend, 'a/b'), 'one');
    t.true(await backend.put('a/b', Buffer.from('second')));
    t.is(await content(backend, 'a/b'), 'second');
    t.is((await backend.stat('a/b'))?.size, 6);
    t.true(await backend.remove('a/b', { durable: true }));
    t.is(await backend.stat('a/b'), undefined);
  });

  check('an empty object is an object', async (t, backend) => {
    await backend.put('empty', new Uint8Array());
    t.is((await backend.get('empty'))?.bytes.length, 0);
    t.is((await backend.stat('empty'))?.size, 0);
    await using object = await backend.open('empty');
    t.is(await object?.read(new Uint8Array(4), 0), 0);
  });

  check('a prefix of keys is not an object', async (t, backend) => {
    await backend.put('a/b/c', Buffer.from('x'));
    t.is(await backend.open('a/b'), undefined);
    t.is(await backend.get('a'), undefined);
    t.is(await backend.stat('a/b'), undefined);
    t.is(await backend.stat('a/b/c/d'), undefined);
  });

  check('the caller may reuse the bytes it has put or got', async (t, backend) => {
    const bytes = Buffer.from('mine');
    await backend.put('a', bytes);
    bytes.fill(0);
    (await backend.get('a'))?.bytes.fill(0);
    t.is(await content(backend, 'a'), 'mine');
  });

  check('reads fill the buffer from any position and stop at the end', async (t, backend) => {
    await backend.put('a', Buffer.from('0123456789'));
    await using object = await backend.open('a');
    const buffer = Buffer.alloc(4);
    t.is(object?.size, 10);
    t.is(await object?.read(buffer, 3), 4);
    t.is(text(buffer), '3456');
    t.is(await object?.read(buffer, 8), 2);
    t.is(text(buffer.subarray(0, 2)), '89');
    t.is(await object?.read(buffer, 10), 0);
    t.is(await object?.read(buffer, 99), 0);
  });

  check('many readers share one open object', async (t, backend) => {
    const bytes = Buffer.alloc(100_000, 'abcdefghijk');
    await backend.put('a', bytes);
    await using object = await backend.open('a');
    const reads = Array.from({ length: 50 }, async (_, index) => {
      const buffer = Buffer.alloc(5000);
      await object?.read(buffer, index * 1000);
      return buffer.equals(bytes.subarray(index * 1000, index * 1000 + 5000));
    });
    t.true((await Promise.all(reads)).every(Boolean));
  });

  check('an open object stays readable after it is removed or replaced', async (t, backend) => {
    await backend.put('a', Buffer.from('first'));
    await using object = await backend.open('a');
    await backend.put('a', Buffer.from('other'));
    await backend.remove('a');
    const buffer = Buffer.alloc(5);
    await object?.read(buffer, 0);
    t.is(text(buffer), 'first');
  });

  check('a put on the condition that nothing is there happens once', async (t, backend) => {
    const puts = Array.from({ length: 20 }, (_, index) =>
      backend.put('a/b', Buffer.from(`${index}`), { condition: { ifAbsent: true } }),
    );
    const results = await Promise.all(puts);
    t.is(results.filter(Boolean).length, 1);
    t.is(await content(backend, 'a/b'), `${results.indexOf(true)}`);
  });

  check('an entity tag changes with every put and is the same from get and stat', async (t, backend) => {
    const seen = new Set<string | undefined>();
    for (let round = 0; round < 20; round += 1) {
      await backend.put('a', Buffer.from('same'));
      seen.add((await backend.get('a'))?.etag);
      t.is((await backend.stat('a'))?.etag, (await backend.get('a'))?.etag);
    }
    t.is(seen.size, 20);
  });

  check('a put over a named version loses against any other change', async (t, backend) => {
    const replace = (value: string, etag: string): Promise<boolean> =>
      backend.put('a', Buffer.from(value), { condition: { ifMatch: etag } });
    t.false(await replace('x', 'none'));
    await backend.put('a', Buffer.from('one'));
    const etag = (await backend.get('a'))?.etag ?? '';
    t.true(await replace('two', etag));
    t.false(await replace('three', etag));
    await backend.remove('a');
    t.false(await replace('four', etag));
    t.is(await content(backend, 'a'), undefined);
  });

  check('concurrent increments over named versions lose none', async (t, backend) => {
    await backend.put('n', Buffer.from('0'));
    const increment = async (): Promise<void> => {
      for (;;) {
        const found = await backend.get('n');
        const next = Buffer.from(String(Number(text(found?.bytes)) + 1));
        if (await backend.put('n', next, { condition: { ifMatch: found?.etag ?? '' } })) return;
      }
    };
    await Promise.all(Array.from({ length: 12 }, increment));
    t.is(await content(backend, 'n'), '12');
  });

  check('readers never see a part of a put', async (t, backend) => {
    const values = ['a', 'b'].map((letter) => letter.repeat(50_000));
    await backend.put('a', Buffer.from(values[0] ?? ''));
    let writing = true;
    const writer = (async () => {
      for (let round = 0; round < 40; round += 1) await backend.put('a', Buffer.from(values[round % 2] ?? ''));
      writing = false;
    })();
    while (writing) t.true(values.includes((await content(backend, 'a')) ?? ''));
    await writer;
  });

  check('adopting publishes a local file and takes it away', async (t, backend) => {
    const path = join(directoryOf(t), 'finished');
    await writeFile(path, 'payload');
    await backend.adopt('blobs/x', path);
    t.is(await content(backend, 'blobs/x'), 'payload');
    t.false(existsSync(path));
  });

  check('of several adoptions under one key the first stays', async (t, backend) => {
    const directory = directoryOf(t);
    const paths = ['one', 'two'].map((name) => join(directory, name));
    for (const path of paths) {
      await writeFile(path, path);
      await backend.adopt('blobs/x', path);
      t.false(existsSync(path));
    }
    t.is(await content(backend, 'blobs/x'), paths[0]);
  });

  check('adopting a file that is not there fails', async (t, backend) => {
    await t.throwsAsync(backend.adopt('blobs/x', join(directoryOf(t), 'missing')), { code: 'ENOENT' });
    t.is(await backend.stat('blobs/x'), undefined);
  });

  check('keys that could leave the root, or that some backend cannot hold, are refused', async (t, backend) => {
    const path = join(directoryOf(t), 'finished');
    await writeFile(path, '');
    const bad = ['', '/a', 'a/', 'a//b', '.', '..', 'a/../b', '../a', '.tmp/x', 'a/.b', 'a\\b', 'a\0b', 'ä', 'a b'];
    for (const key of [...bad, 'x'.repeat(256), 'xxxxxxx/'.repeat(200).slice(0, -1)]) {
      const calls = [
        () => backend.open(key),
        () => backend.get(key),
        () => backend.put(key, new Uint8Array()),
        () => backend.adopt(key, path),
        () => backend.stat(key),
        () => backend.remove(key),
      ];
      for (const call of calls) await t.throwsAsync(call, { message: /not a key/ }, key);
    }
    t.true(existsSync(path));
  });

  check('listing gives any page of any prefix in byte order', async (t, backend) => {
    const letter = fc.constantFrom('a', 'b', 'Z', '-', '0', '^', '_', '~', '!');
    const component = fc.string({ unit: letter, minLength: 1, maxLength: 3 });
    const keys = fc.uniqueArray(fc.array(component, { minLength: 1, maxLength: 3 }), {
      maxLength: 25,
      selector: (path) => path.join('/'),
    });
    let round = 0;
    await fc.assert(
      fc.asyncProperty(keys, fc.nat(8), fc.nat(25), fc.nat(5), async (paths, cut, start, limit) => {
        // The end of a key is marked, so that no key is the beginning of another's path.
        const space = `r${++round}/`;
        const all = paths.map((path) => `${space}${path.join('/')}=`).sort();
        for (const key of all) await backend.put(key, new Uint8Array());
        const prefix = (all[start % Math.max(1, all.length)] ?? '').slice(0, cut + space.length) || space;
        const after = all[start] ?? '';
        const wanted = all.filter((key) => key.startsWith(prefix) && key > after);
        t.deepEqual(await backend.list(prefix, { after, limit: limit + 1 }), wanted.slice(0, limit + 1));
        t.deepEqual(await backend.list(space), all);
      }),
      { numRuns: 40 },
    );
  });

  check('a prefix may end within a component', async (t, backend) => {
    for (const key of ['a/bc/d', 'a/b', 'a/bcd', 'ab/c', 'b']) await backend.put(key, new Uint8Array());
    t.deepEqual(await backend.list('a/bc'), ['a/bc/d', 'a/bcd']);
    t.deepEqual(await backend.list('a/bc/'), ['a/bc/d']);
    t.deepEqual(await backend.list('a', { after: 'a/bc/d' }), ['a/bcd', 'ab/c']);
    t.deepEqual(await backend.list('none/'), []);
  });
}
