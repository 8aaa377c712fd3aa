import test from 'ava';
import fc from 'fast-check';
import { algorithmIn, digestIn, parseChunk, rangeOf } from '../../src/hosted/upload-request.ts';

test('a chunk says where it belongs as the distribution-spec or as HTTP spells it', (t) => {
  t.is(parseChunk(undefined, 5), undefined);
  for (const header of ['0-4', ' 0-4 ', 'bytes 0-4', 'bytes 0-4/*', 'bytes 0-4/10'])
    t.deepEqual(parseChunk(header, 5), { start: 0, end: 5 }, header);
  t.deepEqual(parseChunk('7-7', undefined), { start: 7, end: 8 });
});

test('a malformed chunk is refused, and so is one of another length', (t) => {
  for (const header of ['', '5', '-5', '5-', '5-4', 'a-b', '0-4,5-6', '0x1-2', `0-${'9'.repeat(16)}`, 'bytes=0-4'])
    t.throws(() => parseChunk(header, undefined), { code: 'BLOB_UPLOAD_INVALID' }, header);
  t.throws(() => parseChunk('0-4', 4), { code: 'SIZE_INVALID', message: /5 bytes, Content-Length 4/ });
});

test('the range of an upload names its last byte, and nothing as 0-0', (t) => {
  t.deepEqual([0, 1, 2, 1024].map(rangeOf), ['0-0', '0-0', '0-1', '0-1023']);
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 2 ** 40 }), (size) => parseChunk(rangeOf(size), undefined)?.end === size),
  );
});

test('a digest that cannot be verified is refused with the reason', (t) => {
  const digest = `sha512:${'a'.repeat(128)}`;
  const query = (text: string): URLSearchParams => new URLSearchParams(text);
  t.is(digestIn(query(`digest=${encodeURIComponent(digest)}`), 'digest') as string, digest);
  t.is(digestIn(query('mount=x'), 'digest'), undefined);
  t.throws(() => digestIn(query('mount=md5:00'), 'mount'), { code: 'DIGEST_INVALID', message: /sha256 and sha512/ });
  for (const text of ['', 'sha256', 'sha256:AA', '../x', `sha256:${'A'.repeat(64)}`])
    t.throws(() => digestIn(query(`digest=${text}`), 'digest'), { code: 'DIGEST_INVALID' }, text);
  t.is(algorithmIn(query('')), 'sha256');
  t.is(algorithmIn(query('digest-algorithm=sha512')), 'sha512');
  t.is(algorithmIn(query(`digest=${digest}`)), 'sha512');
  t.throws(() => algorithmIn(query('digest-algorithm=blake3')), {
    code: 'DIGEST_INVALID',
    message: /sha256 or sha512/,
  });
});
