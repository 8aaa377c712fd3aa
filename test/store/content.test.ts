import { writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import fc from 'fast-check';
import { type NoticeEvent, subscribe } from '../../src/events.ts';
import { type Digest, digestOf } from '../../src/oci/digest.ts';
import type { Repository } from '../../src/oci/route.ts';
import type { Backend } from '../../src/store/backend.ts';
import { Content } from '../../src/store/content.ts';
import { FileBackend } from '../../src/store/file-backend.ts';
import { withProof, withPublic, withTag } from '../../src/store/records.ts';
import { directoryOf } from './directory.ts';
import { MemoryBackend } from './memory-backend.ts';

const nginx: Repository = { root: 'cache', upstream: 'docker.io', name: 'library/nginx' };
const redis: Repository = { root: 'cache', upstream: 'docker.io', name: 'library/redis' };
const elsewhere: Repository = { root: 'cache', upstream: 'quay.io', name: 'library/nginx' };
const bytes = Buffer.from('layer');
const digest = digestOf(bytes);
const entry = { digest, mediaType: 'application/x', size: 5, checkedAt: 1000 };

const everyKey = async (backend: Backend): Promise<readonly string[]> => backend.list('');

test('a blob is found by its digest, whatever repository brought it', async (t) => {
  const content = new Content(new MemoryBackend());
  t.is(await content.openBlob(digest), undefined);
  t.is(await content.blobSize(digest), undefined);
  await content.putBlob(digest, bytes);
  await content.putBlob(digest, bytes);
  t.is(await content.blobSize(digest), 5);
  await using object = await content.openBlob(digest);
  t.is(object?.size, 5);
  t.true(await content.removeBlob(digest));
  t.is(await content.blobSize(digest), undefined);
});

test('bytes that are not what their digest says are refused', async (t) => {
  const content = new Content(new MemoryBackend());
  await t.throwsAsync(content.putBlob(digest, Buffer.from('other')), { message: /expected sha256/ });
  t.is(await content.blobSize(digest), undefined);
});

test('a blob that is said to have another size is dropped when its bytes are wrong, and kept when they are right', async (t) => {
  const backend = new MemoryBackend();
  const content = new Content(backend);
  await content.putBlob(digest, bytes);
  {
    await using object = await content.openBlob(digest, 7);
    t.is(object?.size, 5);
  }
  await content.removeBlob(digest);
  await backend.put(`blobs/sha256/${digest.slice(7, 9)}/${digest.slice(7)}`, Buffer.from('lay'));
  t.is((await content.openBlob(digest))?.size, 3);
  t.is(await content.openBlob(digest, 5), undefined);
  t.is(await content.blobSize(digest), undefined);
});

test('a finished local file is adopted as a blob of either algorithm', async (t) => {
  const content = new Content(new MemoryBackend());
  for (const algorithm of ['sha256', 'sha512'] as const) {
    const path = join(directoryOf(t), 'finished');
    writeFileSync(path, bytes);
    await content.adoptBlob(digestOf(bytes, algorithm), path);
    t.is(await content.blobSize(digestOf(bytes, algorithm)), 5);
  }
});

test('membership belongs to one repository of one upstream', async (t) => {
  const content = new Content(new MemoryBackend());
  await content.addLink(nginx, digest);
  t.deepEqual(await content.link(nginx, digest), {});
  t.is(await content.link(redis, digest), undefined);
  t.is(await content.link(elsewhere, digest), undefined);
  t.true(await content.removeLink(nginx, digest));
  t.is(await content.link(nginx, digest), undefined);
});

test('a manifest is linked with its media type', async (t) => {
  const content = new Content(new MemoryBackend());
  await content.addLink(nginx, digest, { mediaType: 'application/x', size: 5 });
  t.deepEqual(await content.link(nginx, digest), { mediaType: 'application/x', size: 5 });
});

test('a claimed digest is no member', async (t) => {
  const content = new Content(new MemoryBackend());
  const children = Array.from({ length: 40 }, (_, index) => digestOf(Buffer.from(`${index}`)));
  await content.addClaims(nginx, [...children, ...children]);
  for (const child of children) t.true(await content.isClaimed(nginx, child));
  t.false(await content.isClaimed(redis, children[0] ?? digest));
  t.is(await content.link(nginx, children[0] ?? digest), undefined);
});

test('public bytes name the repository that proved them last', async (t) => {
  const content = new Content(new MemoryBackend());
  t.is(await content.publicBy(digest), undefined);
  await content.markPublic(digest, nginx);
  t.is(await content.publicBy(digest), 'docker.io/library/nginx');
  await content.markPublic(digest, elsewhere);
  t.is(await content.publicBy(digest), 'quay.io/library/nginx');
});

test('what stays the same is not written again', async (t) => {
  const backend = new MemoryBackend();
  const content = new Content(backend);
  await content.markPublic(digest, nginx);
  const [key = ''] = await everyKey(backend);
  const before = (await backend.stat(key))?.etag;
  await content.markPublic(digest, nginx);
  t.is((await backend.stat(key))?.etag, before);
});

test('content lies where the layout says, in names without capitals', async (t) => {
  const backend = new FileBackend(directoryOf(t));
  const content = new Content(backend);
  const hosted: Repository = { root: 'hosted', upstream: '', name: 'team/app' };
  await content.putBlob(digest, bytes);
  await content.addLink(nginx, digest);
  await content.addClaims(nginx, [digest]);
  await content.markPublic(digest, nginx);
  await content.putTag(nginx, 'V1.0-RC_a', withTag(undefined, 'V1.0-RC_a', 'I', entry));
  await content.putAccess(nginx, withPublic(undefined, 1));
  await content.putUpstreamRecord('docker.io', { status: 401 });
  await content.addLink(hosted, digest);
  const hex = digest.slice(7);
  const own = 'repositories/docker.io/library/nginx';
  t.deepEqual(await everyKey(backend), [
    `blobs/sha256/${hex.slice(0, 2)}/${hex}`,
    `public/sha256/${hex.slice(0, 2)}/${hex}`,
    'repositories/docker.io/_ping',
    `${own}/_access`,
    `${own}/_claims/sha256/${hex}`,
    `${own}/_links/sha256/${hex}`,
    `${own}/_tags/^v1.0-^r^c_a`,
    `repositories/team/app/_links/sha256/${hex}`,
  ]);
});

test('names that are not of the protocol never become paths', async (t) => {
  const content = new Content(new MemoryBackend());
  for (const name of ['', '..', 'a/../b', 'a//b', '_links', 'a/_tags/x', 'A', 'a\0']) {
    await t.throwsAsync(async () => content.addLink({ ...nginx, name }, digest), undefined, name);
  }
  for (const upstream of ['..', 'a/b', '_ping', '.', '-', 'a b']) {
    await t.throwsAsync(async () => content.addLink({ ...nginx, upstream }, digest), undefined, upstream);
  }
  for (const tag of ['', '.', '..', '-a', 'a/b', 'x'.repeat(129)]) {
    await t.throwsAsync(async () => content.tag(nginx, tag), { message: /not a tag/ }, tag);
  }
  for (const bad of ['sha256:../x', 'sha256:', `sha256:${'A'.repeat(64)}`]) {
    await t.throwsAsync(async () => content.openBlob(bad as Digest), { message: /digest/ }, bad);
  }
});

test('tags that differ in case are different tags', async (t) => {
  const content = new Content(new FileBackend(directoryOf(t)));
  for (const tag of ['Latest', 'latest', 'LATEST']) {
    await content.putTag(nginx, tag, withTag(undefined, tag, 'I', { ...entry, mediaType: tag }));
  }
  t.is((await content.tag(nginx, 'Latest'))?.classes.I?.mediaType, 'Latest');
  t.deepEqual(await content.listTags(nginx), ['LATEST', 'Latest', 'latest']);
  t.true(await content.removeTag(nginx, 'Latest'));
  t.deepEqual(await content.listTags(nginx), ['LATEST', 'latest']);
});

test('tags of any length are listed by pages in byte order', async (t) => {
  const content = new Content(new FileBackend(directoryOf(t)));
  const rest = fc.string({ unit: fc.constantFrom(...'AZaz09._-'), maxLength: 12 });
  const tag = fc.tuple(fc.constantFrom(...'AZaz09_'), rest).map(([first, more]) => first + more);
  const longest = 'X'.repeat(128);
  let round = 0;
  await fc.assert(
    fc.asyncProperty(fc.uniqueArray(tag, { maxLength: 30 }), fc.integer({ min: 1, max: 7 }), async (some, limit) => {
      const repository = { ...nginx, name: `r${++round}` };
      const tags = [...some, longest, `${longest.slice(1)}y`].sort();
      await Promise.all(tags.map((one) => content.putTag(repository, one, withTag(undefined, one, 'I', entry))));
      const listed: string[] = [];
      for (;;) {
        const after = listed.at(-1);
        const page = await content.listTags(repository, { limit, ...(after !== undefined && { after }) });
        listed.push(...page);
        if (page.length < limit) break;
      }
      t.deepEqual(listed, tags);
    }),
    { numRuns: 15 },
  );
});

test('concurrent updates of one record all count', async (t) => {
  for (const backend of [new MemoryBackend(), new FileBackend(directoryOf(t))]) {
    const [one, other] = [new Content(backend), new Content(backend)];
    await Promise.all(
      Array.from({ length: 16 }, (_, index) =>
        (index % 2 === 0 ? one : other).updateTag(nginx, 'latest', (record) =>
          withTag(record, 'latest', `${index}`, { ...entry, checkedAt: index }),
        ),
      ),
    );
    t.is(Object.keys((await one.tag(nginx, 'latest'))?.classes ?? {}).length, 16);
    await Promise.all(
      Array.from({ length: 40 }, (_, index) =>
        one.updateAccess(nginx, (record) => withProof(record, `credential:${index}`, index)),
      ),
    );
    t.is(Object.keys((await other.access(nginx))?.proofs ?? {}).length, 40);
  }
});

test('a damaged record counts as absent, is told about once it is read, and can be replaced', async (t) => {
  const backend = new MemoryBackend();
  const content = new Content(backend);
  const notices: NoticeEvent[] = [];
  t.teardown(subscribe('notice', (event) => void notices.push(event)));
  await content.putTag(nginx, 'damaged', withTag(undefined, 'damaged', 'I', entry));
  await content.putAccess(nginx, withPublic(undefined, 1));
  await content.markPublic(digest, nginx);
  await content.addLink(nginx, digest, { mediaType: 'x' });
  await content.putUpstreamRecord('docker.io', {});
  for (const key of await everyKey(backend)) {
    const whole = (await backend.get(key))?.bytes ?? new Uint8Array();
    await backend.put(key, whole.subarray(0, whole.length - 1));
  }
  const reads = [
    await content.tag(nginx, 'damaged'),
    await content.access(nginx),
    await content.publicBy(digest),
    await content.link(nginx, digest),
    await content.upstreamRecord('docker.io'),
  ];
  t.deepEqual(reads, [undefined, undefined, undefined, undefined, undefined]);
  t.is(notices.filter(({ message }) => message.includes('damaged record')).length, 5);
  await content.updateTag(nginx, 'damaged', (record) => withTag(record, 'damaged', 'I', entry));
  t.is((await content.tag(nginx, 'damaged'))?.history.length, 1);
});

test('a cache that is removed while in use is filled again', async (t) => {
  const root = join(directoryOf(t), 'cache');
  const content = new Content(new FileBackend(root));
  const use = async (): Promise<void> => {
    await content.putBlob(digest, bytes);
    await content.addLink(nginx, digest);
    await content.updateTag(nginx, 'a', (record) => withTag(record, 'a', 'I', entry));
  };
  await use();
  await rm(root, { recursive: true });
  t.is(await content.link(nginx, digest), undefined);
  t.deepEqual(await content.listTags(nginx), []);
  await use();
  t.is(await content.blobSize(digest), 5);
  t.deepEqual(await content.listTags(nginx), ['a']);
});
