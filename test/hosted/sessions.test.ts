import { readdir, readFile, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { noteSession, readSession, SessionFile } from '../../src/hosted/session-file.ts';
import { Sessions } from '../../src/hosted/sessions.ts';
import { FileClaims } from '../../src/store/file-claims.ts';
import { directoryOf } from '../store/directory.ts';
import { digestOf } from './stage.ts';

const REPOSITORY = 'team/app';
const forever = new AbortController().signal;

function openSessions(t: ExecutionContext): { directory: string; sessions: Sessions; other: Sessions } {
  const directory = join(directoryOf(t), 'uploads');
  const make = (): Sessions => new Sessions(directory, new FileClaims(join(directory, 'claims')));
  return { directory, sessions: make(), other: make() };
}

test('what one process began another goes on with and ends', async (t) => {
  const { directory, sessions, other } = openSessions(t);
  const id = await sessions.begin(REPOSITORY, 'sha256');
  for (const [from, part] of [
    [sessions, 'one '],
    [other, 'two '],
    [sessions, 'three'],
  ] as const) {
    await using session = await from.open(id, REPOSITORY, forever);
    await session.append(Buffer.from(part));
    await session.settle();
  }
  await using session = await other.open(id, REPOSITORY, forever);
  t.is(await session.digest('sha256'), digestOf('one two three') as never);
  t.is(await session.digest('sha512'), digestOf('one two three', 'sha512') as never);
  let published = '';
  await session.finish(async (path) => {
    published = await readFile(path, 'utf8');
  });
  t.is(published, 'one two three');
  await t.throwsAsync(sessions.open(id, REPOSITORY, forever), { message: /unknown/ });
  t.deepEqual(
    (await readdir(directory)).filter((name) => name.startsWith(id)),
    [],
  );
});

test('who waits for a session that another has can be called off', async (t) => {
  const { sessions, other } = openSessions(t);
  const id = await sessions.begin(REPOSITORY, 'sha256');
  await using _held = await sessions.open(id, REPOSITORY, forever);
  t.is(await other.openIdle(id, REPOSITORY), undefined);
  const caller = new AbortController();
  const waiting = other.open(id, REPOSITORY, caller.signal);
  caller.abort();
  await t.throwsAsync(waiting, { name: 'AbortError' });
});

test('whoever lost a session to another writes nothing any more', async (t) => {
  const directory = join(directoryOf(t), 'uploads');
  const claims = new FileClaims(join(directory, 'claims'), { staleAfter: 20 });
  const [slow, next] = [new Sessions(directory, claims), new Sessions(directory, claims)];
  const id = await slow.begin(REPOSITORY, 'sha256');
  const hung = await slow.open(id, REPOSITORY, forever);
  await hung.append(Buffer.from('abc'));
  const session = await next.open(id, REPOSITORY, forever);
  t.is(session.size, 3);
  await t.throwsAsync(hung.append(Buffer.from('XYZ')), { message: /taken this upload over/ });
  await t.throwsAsync(hung.settle(), { message: /taken this upload over/ });
  await hung[Symbol.asyncDispose]();
  await session.append(Buffer.from('def'));
  t.is(await session.digest('sha256'), digestOf('abcdef') as never);
  await session[Symbol.asyncDispose]();
});

test('after a start of the machine only what was synced counts', async (t) => {
  const { directory, sessions, other } = openSessions(t);
  const id = await sessions.begin(REPOSITORY, 'sha256');
  const stem = join(directory, id);
  {
    await using session = await sessions.open(id, REPOSITORY, forever);
    await session.append(Buffer.from('safe'));
    await session.settle();
    await session.append(Buffer.from(' and not'));
  }
  t.is(await other.durable(id, REPOSITORY), 4);
  const note = await readFile(`${stem}.json`, 'utf8');
  await writeFile(`${stem}.json`, note.replace(/"boot":"[^"]*"/, '"boot":"another"'));
  await using session = await other.open(id, REPOSITORY, forever);
  t.is(session.size, 4);
  t.is(await session.digest('sha256'), digestOf('safe') as never);
});

test('a note that a power cut has damaged is no session', async (t) => {
  const directory = directoryOf(t);
  const stem = join(directory, 'x');
  t.is(await readSession(stem), undefined);
  await noteSession(stem, { repository: REPOSITORY, algorithm: 'sha512', size: 7 });
  t.like(await readSession(stem), { record: { repository: REPOSITORY, algorithm: 'sha512', size: 7 } });
  for (const text of [
    '',
    '{',
    '[]',
    '{"repository":"a","algorithm":"md5","size":1}',
    '{"algorithm":"sha256","size":1}',
  ]) {
    await writeFile(`${stem}.json`, text);
    t.is(await readSession(stem), undefined, text);
    t.is(await SessionFile.open(stem), undefined, text);
  }
});

test('uploads without a write for too long expire, others and those in use stay', async (t) => {
  const { directory, sessions, other } = openSessions(t);
  const [old, young, used] = [
    await sessions.begin(REPOSITORY, 'sha256'),
    await sessions.begin(REPOSITORY, 'sha256'),
    await sessions.begin(REPOSITORY, 'sha256'),
  ];
  for (const id of [old, used]) {
    await using session = await sessions.open(id, REPOSITORY, forever);
    await session.append(Buffer.from('abc'));
  }
  await writeFile(join(directory, 'left.tmp'), '');
  await writeFile(join(directory, `${crypto.randomUUID()}.part`), 'of no session');
  const long = new Date(Date.now() - 3_600_000);
  for (const name of await readdir(directory)) {
    if (!name.startsWith(young) && name !== 'claims') await utimes(join(directory, name), long, long);
  }
  await using _inUse = await other.open(used, REPOSITORY, forever);
  t.is(await sessions.expire(new Date(Date.now() - 1_800_000)), 3);
  const left = (await readdir(directory)).filter((name) => name !== 'claims').map((name) => name.slice(0, 36));
  t.deepEqual([...new Set(left)].sort(), [young, used].sort());
});
