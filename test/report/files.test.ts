import { chmod, link, mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import test from 'ava';
import { publish } from '../../src/events.ts';
import { openLogs, UnreadableLog, withRotated } from '../../src/report/files.ts';
import { jsonLine, openAccessLog } from '../../src/telemetry/access-log.ts';
import { requestEvent } from '../telemetry/events.ts';
import { logOf, NOON, reportOf } from './logs.ts';

async function directory(t: { teardown(remove: () => Promise<void>): void }): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'layover-report-'));
  t.teardown(() => rm(path, { recursive: true }));
  return path;
}

test('a log and everything that was rotated away from it is found, the youngest first', async (t) => {
  const dir = await directory(t);
  const names = ['access.log', 'access.log.1', 'access.log.2.gz', 'access.log.10.gz', 'access.log-20261120.gz'];
  const others = ['access.log.bak', 'access.log.1.tmp', 'other.log.1', 'access.login', 'access.log.1.gz'];
  for (const name of [...names, ...others]) await writeFile(join(dir, name), '');
  const found = await withRotated(join(dir, 'access.log'));
  t.deepEqual(
    found.map((path) => basename(path)),
    names,
  );
});

test('the files that the gateway itself rotates are found and hold every line once', async (t) => {
  const file = join(await directory(t), 'access.log');
  for (let index = 0; index < 40; index++) {
    const log = openAccessLog({ file, format: 'json', maxSize: 2000, keep: 100 });
    publish('request', requestEvent({ id: String(index) }));
    await log.close();
  }
  const paths = await withRotated(file);
  t.true(paths.length > 1);
  let requests = 0;
  for (const opened of await openLogs(paths)) {
    await using current = opened;
    requests += (await reportOf(current)).totals.requests;
  }
  t.is(requests, 40);
});

test('compressed files are known by their content, also when several were put together', async (t) => {
  const line = jsonLine(requestEvent(), NOON);
  const whole = Buffer.concat([gzipSync(line.repeat(1000)), gzipSync(line)]);
  t.is((await reportOf(logOf(whole))).totals.requests, 1001);
});

test('of a compressed file that is broken off, what can be read counts, and the rest is named', async (t) => {
  const lines = Array.from({ length: 5000 }, (_, index) => jsonLine(requestEvent({ id: String(index * 7919) }), NOON));
  const whole = gzipSync(lines.join(''));
  const { totals, unread } = await reportOf(logOf(whole.subarray(0, whole.length - 20)));
  t.true(totals.requests > 0 && totals.requests <= 5000);
  t.is(unread.find(({ what }) => what === 'damaged compression')?.lines, 1);
});

test('a file that is moved away after it was opened is read, and no file twice', async (t) => {
  const dir = await directory(t);
  const [file, moved] = [join(dir, 'access.log'), join(dir, 'access.log.1')];
  await writeFile(file, jsonLine(requestEvent(), NOON));
  await link(file, moved);
  const [log, ...more] = await openLogs([file, moved]);
  t.deepEqual(more, []);
  await rename(file, join(dir, 'access.log.2'));
  if (log === undefined) return t.fail();
  await using current = log;
  t.is((await reportOf(current)).totals.requests, 1);
});

test('a file that is not there, a directory and one that may not be read are each one clear error', async (t) => {
  const dir = await directory(t);
  await mkdir(join(dir, 'folder'));
  const refused = async (path: string): Promise<string> =>
    (await t.throwsAsync(openLogs([path]), { instanceOf: UnreadableLog }))?.message ?? '';
  t.regex(await refused(join(dir, 'absent')), /absent: there is no such file \(ENOENT\)/);
  t.regex(await refused(join(dir, 'folder')), /folder: it is a directory.*\(EISDIR\)/);
  await t.throwsAsync(withRotated(join(dir, 'access.log')), { message: /there is no such log/ });
  await t.throwsAsync(withRotated(join(dir, 'absent', 'access.log')), { message: /ENOENT/ });
  if (process.getuid?.() === 0) return t.log('root may read everything');
  await writeFile(join(dir, 'closed'), '');
  await chmod(join(dir, 'closed'), 0);
  t.regex(await refused(join(dir, 'closed')), /may not read it/);
});
