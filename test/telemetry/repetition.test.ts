import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import type { NoticeEvent } from '../../src/events.ts';
import { calm } from '../../src/telemetry/repetition.ts';

const digest = (index: number): string => `sha256:${index.toString(16).padStart(64, '0')}`;
const full = Object.assign(new Error('no space left'), { code: 'ENOSPC' });

function failing(index: number, error: unknown = full): NoticeEvent {
  return { level: 'error', message: `cannot link ${digest(index)} into docker.io/library/app-${index}`, error };
}

test('notices that differ in digests and names only are said once and then counted', (t) => {
  const said: NoticeEvent[] = [];
  const calmed = calm((notice) => said.push(notice));
  for (let index = 0; index < 113; index++) calmed.write(failing(index));
  t.deepEqual(said, [failing(0)]);
  calmed.close();
  t.is(said.length, 2);
  t.is(said[1]?.message, `${failing(112).message} … and 111 more like it`);
  t.is(said[1]?.error, full);
});

test('another message, level, upstream or error code is another notice', (t) => {
  const said: string[] = [];
  const calmed = calm(({ level, message }) => said.push(`${level} ${message}`));
  calmed.write(failing(1));
  calmed.write({ ...failing(1), level: 'warn' });
  calmed.write(failing(1, new Error('not stored', { cause: Object.assign(new Error(''), { code: 'EIO' }) })));
  for (const name of ['docker.io', 'ghcr.io']) {
    calmed.write({ level: 'warn', message: `${name} answers "too many requests"; not asking again for 5 s` });
    calmed.write({ level: 'warn', message: `${name} answers "too many requests"; not asking again for 60 s` });
  }
  t.is(said.length, 5);
  calmed.close();
  t.is(said.length, 7);
});

test('every interval tells what came in it, and one without any says that it is over, once', async (t) => {
  const said: NoticeEvent[] = [];
  const calmed = calm((notice) => said.push(notice), 100);
  t.teardown(() => calmed.close());
  for (let index = 0; index < 4; index++) calmed.write(failing(index));
  await sleep(150);
  t.is(said.at(-1)?.message, `${failing(3).message} … and 2 more like it`);
  await sleep(250);
  t.deepEqual(
    said.slice(2).map(({ level, message }) => [level, message]),
    [['info', `not repeated for 0.1 s: ${failing(3).message}`]],
  );
  calmed.write(failing(9));
  t.is(said.at(-1)?.message, failing(9).message);
});

test('what came once is not spoken of again', async (t) => {
  const said: NoticeEvent[] = [];
  const calmed = calm((notice) => said.push(notice), 20);
  calmed.write(failing(1));
  await sleep(80);
  calmed.close();
  t.is(said.length, 1);
});

test('debug notices are all said', (t) => {
  const said: NoticeEvent[] = [];
  const calmed = calm((notice) => said.push(notice));
  for (let index = 0; index < 3; index++) calmed.write({ level: 'debug', message: 'asked' });
  t.is(said.length, 3);
  calmed.close();
});

test('thousands of different notices are all said, and watched for repetition in bounded memory', (t) => {
  const said: NoticeEvent[] = [];
  const calmed = calm((notice) => said.push(notice));
  for (let index = 0; index < 2000; index++) calmed.write({ level: 'warn', message: `word${index} failed` });
  t.is(said.length, 2000);
  calmed.write({ level: 'warn', message: 'word1999 failed' });
  t.is(said.length, 2000);
  calmed.write({ level: 'warn', message: 'word0 failed' });
  t.is(said.length, 2001);
  calmed.close();
  t.is(said.length, 2002);
});
