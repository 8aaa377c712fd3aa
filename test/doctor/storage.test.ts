import { chmod, mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { judgeStorage, type StorageFacts } from '../../src/doctor/storage.ts';
import { probeStorage } from '../../src/doctor/storage-probe.ts';
import { directoryOf } from '../store/directory.ts';
import { fixes, said } from './findings.ts';

const GIGA = 1024 ** 3;
const RIGHT: StorageFacts = {
  root: '/srv/data',
  size: 50 * GIGA,
  reserve: 5 * GIGA,
  place: '/srv/data',
  hardLinks: true,
  foldsCase: false,
  kind: 'disk',
  total: 200 * GIGA,
  free: 100 * GIGA,
  freeNodes: 1_000_000,
  together: true,
  openFiles: 65_536,
  user: 'layover',
};

test('a disk with room that can do everything is right', (t) => {
  t.deepEqual(said(judgeStorage(RIGHT)), ['ok: /srv/data can be written, 100.0 GB of 200.0 GB are free']);
  const { freeNodes: _, openFiles: __, ...unlimited } = RIGHT;
  t.is(judgeStorage(unlimited)[0]?.status, 'ok');
});

const CASES: readonly (readonly [Partial<StorageFacts>, RegExp])[] = [
  [{ unwritable: 'EACCES' }, /^problem: \/srv\/data cannot be written by layover: EACCES/],
  [{ unwritable: 'EROFS' }, /^problem: .*EROFS/],
  [{ hardLinks: false }, /^problem: \/srv\/data: the file system has no hard links/],
  [{ foldsCase: true }, /^warning: \/srv\/data: the file system takes A and a for one name/],
  [{ kind: 'memory' }, /^warning: \/srv\/data lies in memory/],
  [{ kind: 'network' }, /^warning: \/srv\/data lies on a network file system/],
  [{ kind: 'layer' }, /^warning: \/srv\/data lies in the container itself/],
  [{ together: false }, /^problem: \/srv\/data: cache and spool lie on two file systems/],
  [
    { free: 4 * GIGA },
    /^problem: 4\.0 GB are free on the file system of \/srv\/data, and storage\.reserve keeps 5\.0 GB/,
  ],
  [{ size: 500 * GIGA }, /^warning: storage\.size is 500\.0 GB, and the file system of \/srv\/data has 200\.0 GB/],
  [{ freeNodes: 12 }, /^warning: 12 more files can be made/],
  [{ openFiles: 1_024 }, /^warning: 1024 files and connections may be open/],
];

for (const [facts, expected] of CASES)
  test(`a disk is not right with ${JSON.stringify(facts)}`, (t) => {
    const found = judgeStorage({ ...RIGHT, ...facts });
    t.is(found.length, 1);
    t.regex(said(found)[0] ?? '', expected);
  });

test('of a size that the disk does not have, one that it has is given', (t) => {
  t.deepEqual(fixes(judgeStorage({ ...RIGHT, size: 500 * GIGA })), [
    "in the gateway's configuration: storage: { size: 195g }",
  ]);
  const small = { ...RIGHT, total: 900 * 1024 ** 2, reserve: 0, free: 800 * 1024 ** 2 };
  t.deepEqual(fixes(judgeStorage(small)), ["in the gateway's configuration: storage: { size: 900m }"]);
});

test('a directory is tried and left as it was, also one that is not there yet', async (t) => {
  const dir = directoryOf(t);
  for (const root of [dir, join(dir, 'not', 'yet')]) {
    const facts = await probeStorage({ storage: { ...storage(root) } }, undefined);
    t.like(facts, { root, place: dir, hardLinks: true, foldsCase: process.platform === 'darwin', together: true });
    t.is(facts.unwritable, undefined);
    t.true(facts.total >= facts.free && facts.free > 0);
  }
  t.deepEqual(await readdir(dir), []);
});

test('a directory that this user may not write is found out', async (t) => {
  if (process.getuid?.() === 0) {
    t.log('skipped: root may write everywhere');
    t.pass();
    return;
  }
  const dir = join(directoryOf(t), 'closed');
  await mkdir(dir);
  await chmod(dir, 0o500);
  t.is((await probeStorage({ storage: storage(dir) }, undefined)).unwritable, 'EACCES');
});

function storage(root: string) {
  return { root, size: GIGA, reserve: 0, evict: { high: 0.95, low: 0.85 }, keep: [] };
}
