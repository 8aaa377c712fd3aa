import anyTest, { type TestFn } from 'ava';
import fc from 'fast-check';
import type { TestGateway } from '../support/gateway.ts';
import { begin, beginUpload, codeOf, digestOf, eventually, filesIn, pushBlob, send, startHosting } from './stage.ts';

const test = anyTest as TestFn<{ gateway: TestGateway; origin: string }>;

test.before(async (t) => {
  const gateway = await startHosting();
  Object.assign(t.context, { gateway, origin: gateway.own });
});

test.after.always(async ({ context: { gateway } }) => gateway[Symbol.asyncDispose]());

test('a blob that comes in one request can be pulled, whole and in ranges', async (t) => {
  const { origin } = t.context;
  const bytes = 'the whole of it';
  const digest = digestOf(bytes);
  const sent = await send(origin, 'POST', `/v2/myapp/blobs/uploads/?digest=${digest}`, { body: bytes });
  t.is(sent.status, 201);
  t.is(sent.headers.location, `/v2/myapp/blobs/${digest}`);
  t.is(sent.headers['docker-content-digest'], digest);
  t.is(sent.headers['content-length'], '0');
  const path = `/v2/myapp/blobs/${digest}`;
  const head = await send(origin, 'HEAD', path);
  t.like(head, { status: 200, headers: { 'content-length': '15', 'docker-content-digest': digest } });
  t.is((await send(origin, 'GET', path)).body.toString(), bytes);
  for (const [range, status, part] of [
    ['bytes=4-8', 206, 'whole'],
    ['bytes=10-', 206, 'of it'],
    ['bytes=-2', 206, 'it'],
    ['bytes=10-500', 206, 'of it'],
  ] as const) {
    const answer = await send(origin, 'GET', path, { headers: { range } });
    t.deepEqual([answer.status, answer.body.toString()], [status, part], range);
  }
  for (const range of ['bytes=15-20', 'bytes=5-0'])
    t.is((await send(origin, 'GET', path, { headers: { range } })).status, 416, range);
});

test('membership is by repository: what was pushed to one is not in another', async (t) => {
  const { origin } = t.context;
  const digest = await pushBlob(origin, 'team/one', 'only in one');
  t.is((await send(origin, 'GET', `/v2/team/one/blobs/${digest}`)).status, 200);
  const other = await send(origin, 'GET', `/v2/team/two/blobs/${digest}`);
  t.deepEqual([other.status, codeOf(other)], [404, 'BLOB_UNKNOWN']);
});

test('an upload goes by POST, one PATCH and a PUT without a body', async (t) => {
  const { origin } = t.context;
  const started = await send(origin, 'POST', '/v2/team/a/b/blobs/uploads/');
  t.is(started.status, 202);
  t.is(started.headers.range, '0-0');
  t.is(started.headers['content-length'], '0');
  const location = started.headers.location ?? '';
  t.is(location, `/v2/team/a/b/blobs/uploads/${started.headers['docker-upload-uuid']}`);
  const body = [Buffer.from('with no '), Buffer.from('length')];
  const streamed = await send(origin, 'PATCH', location, { body });
  t.like(streamed, { status: 202, headers: { range: '0-13', location } });
  const digest = digestOf('with no length');
  t.is((await send(origin, 'PUT', `${location}?digest=${encodeURIComponent(digest)}`)).status, 201);
  t.is((await send(origin, 'GET', `/v2/team/a/b/blobs/${digest}`)).body.toString(), 'with no length');
  t.is((await send(origin, 'GET', location)).status, 404);
});

test('an upload goes by POST and a PUT with the whole', async (t) => {
  const { origin } = t.context;
  for (const body of ['whole', [Buffer.from('who'), Buffer.from('le')]]) {
    const location = await beginUpload(origin, 'team/put');
    t.is((await send(origin, 'PUT', `${location}?digest=${digestOf('whole')}`, { body })).status, 201);
  }
});

test('chunks of any sizes come together, the last with the PUT or not', async (t) => {
  const { origin } = t.context;
  const uploads = fc.record({
    chunks: fc.array(fc.uint8Array({ minLength: 1, maxLength: 5000 }), { minLength: 1, maxLength: 6 }),
    lastWithPut: fc.boolean(),
    algorithm: fc.constantFrom('sha256' as const, 'sha512' as const),
    announced: fc.boolean(),
  });
  await fc.assert(
    fc.asyncProperty(uploads, async ({ chunks, lastWithPut, algorithm, announced }) => {
      const location = await beginUpload(origin, 'team/chunks', announced ? `?digest-algorithm=${algorithm}` : '');
      const whole = Buffer.concat(chunks);
      let at = 0;
      for (const [index, chunk] of chunks.entries()) {
        const headers = { 'content-range': `${at}-${at + chunk.length - 1}` };
        at += chunk.length;
        if (lastWithPut && index === chunks.length - 1) {
          const put = await send(origin, 'PUT', `${location}?digest=${digestOf(whole, algorithm)}`, {
            body: chunk,
            headers,
          });
          t.is(put.status, 201);
        } else {
          const patch = await send(origin, 'PATCH', location, { body: chunk, headers });
          t.like(patch, { status: 202, headers: { range: `0-${at - 1}` } });
          const status = await send(origin, 'GET', location);
          t.like(status, { status: 204, headers: { range: `0-${at - 1}`, location } });
        }
      }
      const digest = digestOf(whole, algorithm);
      if (!lastWithPut) t.is((await send(origin, 'PUT', `${location}?digest=${digest}`)).status, 201);
      const { body } = await send(origin, 'GET', `/v2/team/chunks/blobs/${digest}`);
      t.true(body.equals(whole));
    }),
    { seed: 20261121, numRuns: 12 },
  );
});

test('a chunk out of order is a 416 that says how far the upload is, and changes nothing', async (t) => {
  const { origin } = t.context;
  const location = await beginUpload(origin, 'team/order');
  await send(origin, 'PATCH', location, { body: 'abc', headers: { 'content-range': '0-2' } });
  for (const [method, range] of [
    ['PATCH', '4-6'],
    ['PATCH', '0-2'],
    ['PUT', '2-4'],
  ] as const) {
    const target = method === 'PUT' ? `${location}?digest=${digestOf('abcdef')}` : location;
    const refused = await send(origin, method, target, { body: 'def', headers: { 'content-range': range } });
    t.like(refused, { status: 416, headers: { range: '0-2', location } }, range);
    t.is(codeOf(refused), 'RANGE_INVALID');
  }
  await send(origin, 'PATCH', location, { body: 'def', headers: { 'content-range': '3-5' } });
  t.is((await send(origin, 'PUT', `${location}?digest=${digestOf('abcdef')}`)).status, 201);
});

test('a chunk whose bytes are not as many as it says leaves the upload where it was', async (t) => {
  const { origin } = t.context;
  const location = await beginUpload(origin, 'team/short');
  await send(origin, 'PATCH', location, { body: 'abc' });
  for (const text of ['d', 'defg']) {
    const body = [Buffer.from(text)];
    const refused = await send(origin, 'PATCH', location, { body, headers: { 'content-range': '3-5' } });
    t.deepEqual([refused.status, codeOf(refused)], [400, 'SIZE_INVALID'], text);
    t.is((await send(origin, 'GET', location)).headers.range, '0-2', text);
  }
  const malformed = await send(origin, 'PATCH', location, { body: 'def', headers: { 'content-range': 'x' } });
  t.is(malformed.status, 400);
  t.is((await send(origin, 'PUT', `${location}?digest=${digestOf('abcdef')}`, { body: 'def' })).status, 201);
});

test('another digest than the bytes have is refused, and nothing is left', async (t) => {
  const gateway = await startHosting();
  t.teardown(() => gateway[Symbol.asyncDispose]());
  const origin = gateway.own;
  const wrong = digestOf('something else');
  const inOne = await send(origin, 'POST', `/v2/team/wrong/blobs/uploads/?digest=${wrong}`, { body: 'bytes' });
  t.deepEqual([inOne.status, codeOf(inOne)], [400, 'DIGEST_INVALID']);
  const location = await beginUpload(origin, 'team/wrong');
  await send(origin, 'PATCH', location, { body: 'bytes' });
  t.is((await send(origin, 'PUT', `${location}?digest=${wrong}`)).status, 400);
  t.is((await send(origin, 'GET', location)).status, 404);
  t.is((await send(origin, 'GET', `/v2/team/wrong/blobs/${wrong}`)).status, 404);
  t.deepEqual(Object.keys(await filesIn(gateway, 'uploads')), []);
  t.deepEqual(Object.keys(await filesIn(gateway, 'hosted')), []);
});

test('a PUT names its digest, in a form that can be verified', async (t) => {
  const { origin } = t.context;
  const location = await beginUpload(origin, 'team/form');
  for (const query of ['', '?digest=', '?digest=sha256:xyz', '?digest=md5:d41d8cd98f00b204e9800998ecf8427e']) {
    const refused = await send(origin, 'PUT', `${location}${query}`, { body: 'x' });
    t.deepEqual([refused.status, codeOf(refused)], [400, 'DIGEST_INVALID'], query);
  }
  t.is((await send(origin, 'GET', location)).headers.range, '0-0');
  const begun = await send(origin, 'POST', '/v2/team/form/blobs/uploads/?digest-algorithm=md5');
  t.is(begun.status, 400);
});

test('an empty blob is a blob', async (t) => {
  const { origin } = t.context;
  const digest = digestOf('');
  t.is((await send(origin, 'POST', `/v2/team/empty/blobs/uploads/?digest=${digest}`)).status, 201);
  t.like(await send(origin, 'GET', `/v2/team/empty/blobs/${digest}`), {
    status: 200,
    headers: { 'content-length': '0' },
  });
  const location = await beginUpload(origin, 'team/empty2');
  t.is((await send(origin, 'PUT', `${location}?digest=${digest}`)).status, 201);
});

test('a digest without a body begins an upload', async (t) => {
  const { origin } = t.context;
  const location = await beginUpload(origin, 'team/later', `?digest=${digestOf('later')}`);
  t.is((await send(origin, 'PUT', `${location}?digest=${digestOf('later')}`, { body: 'later' })).status, 201);
});

test('a cancelled upload is gone', async (t) => {
  const { origin } = t.context;
  const location = await beginUpload(origin, 'team/cancel');
  await send(origin, 'PATCH', location, { body: 'abc' });
  t.is((await send(origin, 'DELETE', location)).status, 204);
  for (const method of ['GET', 'PATCH', 'PUT', 'DELETE']) {
    const body = method === 'PATCH' ? { body: 'x' } : {};
    const query = method === 'PUT' ? `?digest=${digestOf('abc')}` : '';
    const gone = await send(origin, method, location + query, body);
    t.deepEqual(
      [gone.status, method === 'GET' || codeOf(gone)],
      [404, method === 'GET' || 'BLOB_UPLOAD_UNKNOWN'],
      method,
    );
  }
});

test('an upload belongs to its repository, and an invented one is unknown', async (t) => {
  const { origin } = t.context;
  const location = await beginUpload(origin, 'team/mine');
  const id = location.split('/').at(-1) ?? '';
  for (const path of [
    `/v2/team/yours/blobs/uploads/${id}`,
    `/v2/team/mine/blobs/uploads/${'0'.repeat(8)}-0000-0000-0000-${'0'.repeat(12)}`,
    '/v2/team/mine/blobs/uploads/x',
    `/v2/team/mine/blobs/uploads/${id}.json`,
  ])
    t.is((await send(origin, 'PATCH', path, { body: 'x' })).status, 404, path);
  t.is((await send(origin, 'POST', location)).status, 405);
  t.is((await send(origin, 'PUT', '/v2/team/mine/blobs/uploads/')).status, 405);
});

test('an upload that breaks off goes on from the range that is reported', async (t) => {
  const { origin, gateway } = t.context;
  const whole = Buffer.alloc(300_000, 'all of it, in the end ');
  const location = await beginUpload(origin, 'team/broken');
  const broken = begin(origin, 'PATCH', location, whole.subarray(0, 200_000));
  await eventually(async () => (await filesIn(gateway, 'uploads'))[`${location.split('/').at(-1)}.part`] ?? 0);
  broken.cut();
  // Waits for the broken request to be over, and changes nothing.
  const asked = await send(origin, 'PATCH', location, { body: 'x', headers: { 'content-range': '999999-999999' } });
  t.is(asked.status, 416);
  const { headers: there } = await send(origin, 'GET', location);
  t.is(there.range, asked.headers.range);
  const at = Number(there.range?.split('-')[1]) + 1;
  t.true(at > 0 && at <= 200_000, `${at}`);
  const rest = whole.subarray(at);
  const headers = { 'content-range': `${at}-${whole.length - 1}` };
  t.is((await send(origin, 'PATCH', location, { body: rest, headers })).status, 202);
  t.is((await send(origin, 'PUT', `${location}?digest=${digestOf(whole)}`)).status, 201);
});

test('two requests write to one upload one after the other', async (t) => {
  const { origin } = t.context;
  const location = await beginUpload(origin, 'team/both');
  const bodies = Array.from({ length: 8 }, (_, index) => Buffer.alloc(40_000, String(index)));
  const sent = await Promise.all(bodies.map((body) => send(origin, 'PATCH', location, { body })));
  t.deepEqual(
    sent.map(({ status }) => status),
    bodies.map(() => 202),
  );
  const order = sent.map(({ headers }) => Number(headers.range?.split('-')[1]) + 1);
  const whole = Buffer.alloc(320_000);
  for (const [index, end] of order.entries()) bodies[index]?.copy(whole, end - 40_000);
  t.is((await send(origin, 'PUT', `${location}?digest=${digestOf(whole)}`)).status, 201);
});

test('an upload survives a restart', async (t) => {
  const gateway = await startHosting();
  t.teardown(() => gateway[Symbol.asyncDispose]());
  const location = await beginUpload(gateway.own, 'myapp');
  await send(gateway.own, 'PATCH', location, { body: 'before ' });
  await gateway.restart();
  t.is((await send(gateway.own, 'GET', location)).headers.range, '0-6');
  await send(gateway.own, 'PATCH', location, { body: 'after', headers: { 'content-range': '7-11' } });
  t.is((await send(gateway.own, 'PUT', `${location}?digest=${digestOf('before after')}`)).status, 201);
  await gateway.restart();
  const { body } = await send(gateway.own, 'GET', `/v2/myapp/blobs/${digestOf('before after')}`);
  t.is(body.toString(), 'before after');
  t.deepEqual(Object.keys(await filesIn(gateway, 'uploads')), []);
});

test('a client that waits for 100 Continue is told to go on', async (t) => {
  const { origin } = t.context;
  const digest = digestOf('expected');
  const headers = { expect: '100-continue', 'content-length': '8' };
  const path = `/v2/team/expect/blobs/uploads/?digest=${digest}`;
  t.is((await send(origin, 'POST', path, { body: 'expected', headers })).status, 201);
});
