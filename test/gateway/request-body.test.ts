import { once } from 'node:events';
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { requestBody, Watch } from '../../src/gateway/request-body.ts';
import type { RegistryError } from '../../src/oci/error.ts';

type Serve = (request: IncomingMessage, response: ServerResponse) => Promise<unknown>;

async function serving(t: ExecutionContext, serve: Serve): Promise<number> {
  const server = createServer((asked, response) => {
    serve(asked, response).then(
      (told) => response.end(JSON.stringify(told)),
      (error: RegistryError) => response.writeHead(error.status).end(error.message),
    );
  });
  server.on('checkContinue', (asked, response) => server.emit('request', asked, response));
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

async function answerTo(sent: ReturnType<typeof request>): Promise<{ status: number; text: string }> {
  const [response] = (await once(sent, 'response')) as [IncomingMessage];
  const chunks = await Array.fromAsync(response as AsyncIterable<Buffer>);
  return { status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString() };
}

const put = (port: number, headers: Record<string, string> = {}): ReturnType<typeof request> =>
  request({ host: '127.0.0.1', port, method: 'PUT', headers, agent: false });

test('a body tells its length where it is announced, and comes whole', async (t) => {
  const port = await serving(t, async (asked, response) => {
    const { upload } = requestBody(asked, response);
    if (upload === undefined) return ['nothing'];
    return [upload.length ?? 'unknown', Buffer.concat(await Array.fromAsync(upload)).toString()];
  });
  const announced = put(port, { 'content-length': '3' });
  announced.end('abc');
  t.is((await answerTo(announced)).text, '[3,"abc"]');
  const chunked = put(port);
  chunked.write('ab');
  chunked.end('c');
  t.is((await answerTo(chunked)).text, '["unknown","abc"]');
  const empty = put(port, { 'content-length': '0' });
  empty.end();
  t.is((await answerTo(empty)).text, '["nothing"]');
});

test('a client that waits for 100 Continue is told to go on when its body is wanted, not before', async (t) => {
  const seen: string[] = [];
  const wanted = Promise.withResolvers<void>();
  const port = await serving(t, async (asked, response) => {
    const { upload } = requestBody(asked, response);
    seen.push('asked');
    await wanted.promise;
    seen.push('wanted');
    return (await Array.fromAsync(upload ?? [])).length;
  });
  const sent = put(port, { expect: '100-continue', 'content-length': '1' });
  sent.on('continue', () => {
    seen.push('continue');
    sent.end('x');
  });
  sent.flushHeaders();
  while (seen.length === 0) await sleep(5);
  wanted.resolve();
  t.is((await answerTo(sent)).status, 200);
  t.deepEqual(seen, ['asked', 'wanted', 'continue']);
});

test('a body that comes more slowly than any living client sends is a 408', async (t) => {
  const pace = { bytes: 1000, window: 400 };
  const port = await serving(t, async (asked, response) => {
    const { upload } = requestBody(asked, response, pace);
    return (await Array.fromAsync(upload ?? [])).length;
  });
  const dead = put(port);
  dead.on('error', () => undefined);
  dead.write('only this');
  t.deepEqual(await answerTo(dead), { status: 408, text: 'the body came too slowly' });
  dead.destroy();
});

test('a client is dead when less than its pace came in a window of waiting, however long it goes on', (t) => {
  const watch = new Watch({ bytes: 100, window: 1000 });
  watch.wait(0);
  t.false(watch.isDead(999));
  for (let turn = 1; turn <= 50; turn += 1) {
    watch.came(10, turn * 100);
    watch.wait(turn * 100);
    t.false(watch.isDead(turn * 100), `${turn}`);
  }
  watch.came(99, 5500);
  watch.wait(5500);
  t.false(watch.isDead(5999));
  t.true(watch.isDead(6000));
});

test('time that the bytes take to be kept is not held against the client', (t) => {
  const watch = new Watch({ bytes: 100, window: 1000 });
  watch.wait(0);
  watch.came(1, 400);
  t.false(watch.isDead(60_000));
  watch.wait(60_000);
  t.false(watch.isDead(60_599));
  t.true(watch.isDead(60_600));
});
