import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { RecentRecords } from '../../src/store/recent-records.ts';

test('a record is read once for many who ask within a second, and again after it', async (t) => {
  const records = new RecentRecords<string>();
  let reads = 0;
  const read = async () => `read ${++reads}`;
  for (let asked = 0; asked < 3; asked++) t.is(await records.get('a', read), 'read 1');
  await sleep(1050);
  t.is(await records.get('a', read), 'read 2');
});

test('what is absent is looked for every time', async (t) => {
  const records = new RecentRecords<string>();
  t.is(await records.get('a', async () => undefined), undefined);
  t.is(await records.get('a', async () => 'there now'), 'there now');
});

test('a record that changes is not remembered as it was, even when it was being read just then', async (t) => {
  const records = new RecentRecords<string>();
  await records.get('a', async () => 'before');
  records.forget('a');
  t.is(await records.get('a', async () => 'after'), 'after');

  const { promise, resolve } = Promise.withResolvers<string>();
  const reading = records.get('b', () => promise);
  records.forget('b');
  resolve('before');
  t.is(await reading, 'before');
  t.is(await records.get('b', async () => 'after'), 'after');
});
