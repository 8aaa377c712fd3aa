import test from 'ava';
import { askPlain, HIT, start, until } from './start.ts';

const SIZE = 600 << 10;

test('few answers are read in large blocks, and each of many in small ones', async (t) => {
  const windows: number[] = [];
  const go = Promise.withResolvers<void>();
  const source = () => ({
    async read(buffer: Uint8Array): Promise<number> {
      windows.push(buffer.length);
      await go.promise;
      return buffer.length;
    },
    async [Symbol.asyncDispose]() {},
  });
  const running = await start(t, {
    endpoints: async () => {
      const body = { kind: 'source', source: source(), range: { start: 0, end: SIZE } } as const;
      return { status: 200, headers: { 'Content-Length': String(SIZE) }, body, outcome: HIT };
    },
  });
  const pull = () => askPlain(running, { path: `/v2/a/blobs/sha256:${'a'.repeat(64)}` });
  const first = pull();
  await until(() => windows.length === 1);
  t.deepEqual(windows, [512 << 10]);
  const others = Array.from({ length: 200 }, pull);
  await until(() => windows.length === 201);
  // A client's stall costs two blocks: two hundred of them must not cost two hundred megabytes.
  t.true(windows.slice(100).every((window) => window === 32 << 10));
  go.resolve();
  for (const { status, body, cut } of await Promise.all([first, ...others])) {
    t.deepEqual([status, body.length, cut], [200, SIZE, false]);
  }
  windows.length = 0;
  await pull();
  t.is(windows[0], 512 << 10);
});
