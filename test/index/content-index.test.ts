import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { type NoticeEvent, publish, subscribe } from '../../src/events.ts';
import { ContentIndex } from '../../src/index/content-index.ts';
import { eventually } from '../pull/doors.ts';
import { CacheFiles, described } from './files.ts';

const NOTHING = { repositories: [], digests: [] };

interface Stage {
  readonly files: CacheFiles;
  readonly directory: string;
  readonly notices: NoticeEvent[];
}

/** An image of two layers on disk, and the notices from here on. */
async function stage(t: ExecutionContext): Promise<Stage> {
  const { root, files } = CacheFiles.make(t);
  await image(files, 'docker.io/library/a', 'first');
  const notices: NoticeEvent[] = [];
  t.teardown(subscribe('notice', (notice) => notices.push(notice)));
  return { files, directory: join(root, 'index'), notices };
}

async function image(files: CacheFiles, repository: string, seed: string): Promise<void> {
  const layers = [
    await files.blob(repository, Buffer.from(`${seed} 1`)),
    await files.blob(repository, Buffer.from(seed)),
  ];
  await files.manifest(repository, layers, seed);
}

async function open(t: ExecutionContext, { files, directory }: Stage): Promise<ContentIndex> {
  const index = new ContentIndex(directory, files.directory);
  t.teardown(() => index[Symbol.asyncDispose]());
  index.start();
  await eventually(
    () => index.state,
    (state) => state === 'ready',
    20_000,
  );
  return index;
}

async function contentOf(index: ContentIndex): Promise<Record<string, object>> {
  const inventory = await index.inventory(NOTHING);
  return inventory === undefined ? {} : described(inventory, await index.digests([...inventory.ids]));
}

function tell(files: CacheFiles): void {
  for (const event of files.events.splice(0)) publish('content', event);
}

test.serial('it hears of content by events, keeps it over a restart, and never walks again for that', async (t) => {
  const on = await stage(t);
  const first = await open(t, on);
  on.files.events.length = 0;
  await image(on.files, 'ghcr.io/acme/app', 'second');
  tell(on.files);
  const before = await contentOf(first);
  t.is(Object.keys(before).length, 6);
  await first[Symbol.asyncDispose]();
  const states: string[] = [];
  t.teardown(subscribe('index', ({ state }) => states.push(state)));
  const second = await open(t, on);
  t.deepEqual(await contentOf(second), before);
  t.deepEqual(states, ['ready']);
  t.deepEqual(on.notices, []);
});

test.serial('before it has started, and after it has stopped, it knows nothing and fails nobody', async (t) => {
  const { directory, files } = await stage(t);
  const index = new ContentIndex(directory, files.directory);
  tell(files);
  t.is(await index.inventory(NOTHING), undefined);
  t.deepEqual([await index.digests([1]), await index.repositories()], [[], []]);
  await index.rebuild();
  await index[Symbol.asyncDispose]();
  await index[Symbol.asyncDispose]();
  t.is(index.state, 'absent');
});

test.serial('a damaged file is made anew from the files', async (t) => {
  const on = await stage(t);
  await mkdir(on.directory);
  await writeFile(join(on.directory, 'content.sqlite'), 'this is no database at all');
  const index = await open(t, on);
  t.is(Object.keys(await contentOf(index)).length, 3);
  t.deepEqual(
    on.notices.map(({ message }) => message),
    ['the index is damaged and is made anew'],
  );
});

test.serial('its directory may be deleted while it runs: it is made anew from the files', async (t) => {
  const on = await stage(t);
  const index = await open(t, on);
  const before = await contentOf(index);
  await rm(on.directory, { recursive: true });
  await image(on.files, 'docker.io/library/b', 'second');
  tell(on.files);
  const after = await eventually(
    () => contentOf(index),
    (content) => Object.keys(content).length === 6,
    20_000,
  );
  for (const [digest, content] of Object.entries(before)) t.deepEqual(after[digest], content);
  t.true((await readdir(on.directory)).includes('content.sqlite'));
});

test.serial('where it cannot be written, it lives in memory and says so once', async (t) => {
  const on = await stage(t);
  await writeFile(on.directory, 'a file where its directory should be');
  const index = await open(t, on);
  t.is(Object.keys(await contentOf(index)).length, 3);
  tell(on.files);
  t.is(Object.keys(await contentOf(index)).length, 3);
  t.deepEqual(
    on.notices.map(({ message }) => message),
    ['the index cannot be kept on disk and lives in memory'],
  );
  // Reading the files again is the occasion to find out that the disk is well.
  await rm(on.directory);
  await index.rebuild();
  t.true((await readdir(on.directory)).includes('content.sqlite'));
  t.is(Object.keys(await contentOf(index)).length, 3);
});

test.serial('several processes may share it', async (t) => {
  const on = await stage(t);
  const [one, other] = await Promise.all([open(t, on), open(t, on)]);
  await image(on.files, 'docker.io/library/b', 'second');
  tell(on.files);
  t.is(Object.keys(await contentOf(one)).length, 6);
  t.deepEqual(await contentOf(other), await contentOf(one));
  await Promise.all([one.rebuild(), other.rebuild()]);
  t.is(Object.keys(await contentOf(other)).length, 6);
  t.deepEqual(on.notices, []);
});
