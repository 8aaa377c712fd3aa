import test from 'ava';
import { digestOf } from '../../src/oci/digest.ts';
import {
  type AccessRecord,
  entryOf,
  parseAccessRecord,
  parseTagRecord,
  proofOf,
  type TagEntry,
  type TagRecord,
  withoutClass,
  withoutProof,
  withoutPublic,
  withProof,
  withPublic,
  withTag,
} from '../../src/store/records.ts';

const json = (value: unknown): Uint8Array => Buffer.from(JSON.stringify(value));
const entry = (text: string, checkedAt: number): TagEntry => ({
  digest: digestOf(Buffer.from(text)),
  mediaType: 'application/x',
  size: 1,
  checkedAt,
});

test('only a move goes into the history of a tag', (t) => {
  let record = withTag(undefined, 'latest', 'I', entry('a', 1));
  record = withTag(record, 'latest', 'I', { ...entry('a', 2), etag: '"x"' });
  record = withTag(record, 'latest', 'M', entry('b', 3));
  record = withTag(record, 'latest', 'I', entry('c', 4));
  t.deepEqual(
    record.history.map(({ at, acceptClass }) => [at, acceptClass]),
    [
      [1, 'I'],
      [3, 'M'],
      [4, 'I'],
    ],
  );
  t.is(entryOf(record, 'I')?.checkedAt, 4);
  t.is(entryOf(record, '-'), undefined);
  t.deepEqual(Object.keys(withoutClass(record, 'I').classes), ['M']);
});

test('a tag keeps its 64 latest moves and the 16 classes checked last', (t) => {
  let record: TagRecord | undefined;
  for (let at = 0; at < 100; at += 1) record = withTag(record, 'latest', `c${at}`, entry(`${at}`, at));
  t.is(record?.history.length, 64);
  t.is(record?.history[0]?.at, 36);
  const kept = Array.from({ length: 16 }, (_, index) => `c${84 + index}`);
  t.deepEqual(Object.keys(record?.classes ?? {}).sort(), kept);
});

test('a class that is called like a property of every object is a class like others', (t) => {
  const record = withTag(undefined, 'latest', 'M', entry('a', 1));
  for (const name of ['constructor', '__proto__', 'toString']) {
    t.is(entryOf(record, name), undefined);
    const stored = parseTagRecord(json(withTag(record, 'latest', name, entry('b', 2))));
    t.is(entryOf(stored, name)?.checkedAt, 2, name);
  }
});

test('publicity has a beginning and a last sight', (t) => {
  const record = withPublic(withPublic(withProof(undefined, 'credential:a', 5), 10), 20);
  t.deepEqual(record.public, { since: 10, checked: 20 });
  t.is(proofOf(record, 'credential:a'), 5);
  t.is(withoutPublic(record).public, undefined);
  t.is(proofOf(withoutPublic(record), 'credential:a'), 5);
});

test('proofs can be withdrawn, and the 4096 latest are kept', (t) => {
  let record: AccessRecord = {
    proofs: Object.fromEntries(Array.from({ length: 4096 }, (_, i) => [`p${i}`, { at: i }])),
  };
  record = withProof(record, 'p0', 10_000);
  t.is(Object.keys(record.proofs).length, 4096);
  record = withProof(record, 'new', 10_001);
  t.is(Object.keys(record.proofs).length, 4096);
  t.is(proofOf(record, 'p1'), undefined);
  t.is(proofOf(record, 'p0'), 10_000);
  t.is(proofOf(withoutProof(record, 'p0'), 'p0'), undefined);
  t.is(proofOf(undefined, 'p0'), undefined);
});

test('records survive storage', (t) => {
  const tag = withTag(
    withTag(undefined, 'latest', 'I', { ...entry('a', 1), etag: '"x"' }),
    'latest',
    'M',
    entry('b', 2),
  );
  t.deepEqual(parseTagRecord(json(tag)), tag);
  const access = withProof(withPublic(undefined, 3), 'credential:a', 4);
  t.deepEqual(parseAccessRecord(json(access)), access);
  t.deepEqual(parseAccessRecord(json({ proofs: {} })), { proofs: {} });
});

test('what is not a whole record is none', (t) => {
  const tag = withTag(undefined, 'latest', 'I', entry('a', 1));
  const bad: unknown[] = [null, [], 1, 'x', {}, { ...tag, tag: 1 }, { ...tag, classes: [] }, { ...tag, history: {} }];
  for (const change of [{ digest: 'x' }, { size: -1 }, { size: 'x' }, { checkedAt: null }, { mediaType: 1 }]) {
    bad.push({ ...tag, classes: { I: { ...tag.classes.I, ...change } } });
  }
  bad.push({ ...tag, history: [{ at: 1 }] });
  for (const value of bad) t.is(parseTagRecord(json(value)), undefined, JSON.stringify(value));
  for (const value of [null, [], {}, { proofs: [] }, { proofs: { a: {} } }, { proofs: {}, public: {} }]) {
    t.is(parseAccessRecord(json(value)), undefined, JSON.stringify(value));
  }
  t.is(parseTagRecord(new Uint8Array()), undefined);
});
