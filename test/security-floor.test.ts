import { readFile } from 'node:fs/promises';
import test from 'ava';
// @ts-expect-error The launcher is plain JavaScript without types: it compares versions before any TypeScript can run.
import { compareVersions } from '../bin/launch.js';

interface Floor {
  readonly floor: string;
  readonly reason: string;
  readonly advisories: readonly string[];
  readonly date: string;
}

interface Lock {
  readonly packages: Readonly<Record<string, { readonly version: string }>>;
}

const { node, ...floors }: Record<string, Floor> = JSON.parse(await readFile('security-floor.json', 'utf8'));
const lock: Lock = JSON.parse(await readFile('package-lock.json', 'utf8'));

for (const [name, { floor, reason }] of Object.entries(floors)) {
  test(`every copy of ${name} is at least ${floor}`, (t) => {
    const copies = Object.entries(lock.packages).filter(([path]) => path.endsWith(`node_modules/${name}`));
    t.true(copies.length > 0, `${name} is not installed any more; remove it from security-floor.json`);
    for (const [path, { version }] of copies)
      t.true(compareVersions(version, floor) >= 0, `${path} is ${version}; ${floor} fixes ${reason}`);
  });
}

test('the Node that runs is compared with its floor', (t) => {
  const { floor = '', reason = '' } = node ?? {};
  const below = compareVersions(process.versions.node, floor) < 0;
  const { node: version, openssl, llhttp, sqlite, undici } = process.versions;
  t.log(`Node.js ${version} (OpenSSL ${openssl}, llhttp ${llhttp}, SQLite ${sqlite}, undici ${undici})`);
  t.log(below ? `warning: below ${floor}, which fixes ${reason}` : `at or above the floor ${floor}`);
  t.true(compareVersions(process.versions.node, '26.0.0') >= 0);
});

test('versions compare by number, not by letters', (t) => {
  t.true(compareVersions('26.9.0', '26.12.1') < 0);
  t.true(compareVersions('27.0.0', '26.12.1') > 0);
  t.is(compareVersions('26.12.1', '26.12.1'), 0);
  t.is(compareVersions('26.12.1-rc.1', '26.12.1'), 0);
});
