import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import test, { type ExecutionContext } from 'ava';
import { Resolver } from '../../src/upstream/resolver.ts';

type Zone = Record<string, { readonly A?: string; readonly AAAA?: string; readonly code?: number }>;

/** A name server on loopback; a name it does not list is not answered at all. */
async function nameServer(t: ExecutionContext, zone: Zone) {
  const questions: string[] = [];
  const server: Socket = createSocket('udp4');
  server.on('message', (query, from) => {
    const [name, end] = readName(query);
    const type = query.readUInt16BE(end) === 28 ? 'AAAA' : 'A';
    questions.push(`${name} ${type}`);
    const entry = zone[name];
    if (entry === undefined) return;
    const data = entry[type];
    const head = Buffer.from(query.subarray(0, 12));
    head.writeUInt16BE(0x8180 | (entry.code ?? 0), 2);
    head.writeUInt16BE(data === undefined ? 0 : 1, 6);
    head.writeUInt32BE(0, 8);
    const answer = data === undefined ? Buffer.alloc(0) : record(type, data);
    server.send(Buffer.concat([head, query.subarray(12, end + 4), answer]), from.port, from.address);
  });
  server.bind(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  return { address: `127.0.0.1:${server.address().port}`, questions, zone };
}

function readName(query: Buffer): [string, number] {
  const labels: string[] = [];
  let at = 12;
  for (let length = query.readUInt8(at); length > 0; length = query.readUInt8(at)) {
    labels.push(query.toString('latin1', at + 1, at + 1 + length));
    at += length + 1;
  }
  return [labels.join('.'), at + 1];
}

function record(type: 'A' | 'AAAA', address: string): Buffer {
  const data =
    type === 'A'
      ? Buffer.from(address.split('.').map(Number))
      : Buffer.concat(address.split(':').map((group) => Buffer.from(group.padStart(4, '0'), 'hex')));
  const head = Buffer.from([0xc0, 12, 0, type === 'A' ? 1 : 28, 0, 1, 0, 0, 0, 30, 0, data.length]);
  return Buffer.concat([head, data]);
}

test('a name server is asked for both families, and the answer is kept for its life', async (t) => {
  const server = await nameServer(t, { 'ghcr.io': { A: '192.0.2.7', AAAA: '2001:db8:0:0:0:0:0:7' } });
  const resolver = new Resolver([server.address], {});
  const answers = await Promise.all([resolver.resolve('ghcr.io'), resolver.resolve('GHCR.io')]);
  for (const answer of [...answers, await resolver.resolve('ghcr.io')]) {
    t.deepEqual(answer, [
      { address: '192.0.2.7', family: 4 },
      { address: '2001:db8::7', family: 6 },
    ]);
  }
  t.deepEqual(server.questions.sort(), ['ghcr.io A', 'ghcr.io AAAA']);
});

test('one family is enough', async (t) => {
  const server = await nameServer(t, { four: { A: '192.0.2.7' }, six: { AAAA: '2001:db8:0:0:0:0:0:7' } });
  const resolver = new Resolver([server.address], {});
  t.deepEqual(await resolver.resolve('four'), [{ address: '192.0.2.7', family: 4 }]);
  t.deepEqual(await resolver.resolve('six'), [{ address: '2001:db8::7', family: 6 }]);
});

test('a name that does not exist is an error', async (t) => {
  const server = await nameServer(t, { absent: { code: 3 } });
  t.like(await t.throwsAsync(new Resolver([server.address], {}).resolve('absent')), { code: 'ENOTFOUND' });
});

test('pins, addresses and localhost ask nobody, and the hosts file is not read', async (t) => {
  const server = await nameServer(t, { 'ip6-localhost': { code: 3 } });
  const resolver = new Resolver([server.address], { 'Registry.Example': ['192.0.2.1', '2001:db8::1'] });
  t.deepEqual(
    (await resolver.resolve('registry.example')).map(({ address }) => address),
    ['192.0.2.1', '2001:db8::1'],
  );
  t.deepEqual(await resolver.resolve('192.0.2.9'), [{ address: '192.0.2.9', family: 4 }]);
  t.deepEqual(await resolver.resolve('::1'), [{ address: '::1', family: 6 }]);
  t.deepEqual(
    (await resolver.resolve('localhost')).map(({ address }) => address),
    ['127.0.0.1', '::1'],
  );
  t.is(server.questions.length, 0);
  await t.throwsAsync(resolver.resolve('ip6-localhost'));
  t.true(server.questions.length > 0);
});

test('what is no host name is never asked for', async (t) => {
  const server = await nameServer(t, {});
  const resolver = new Resolver([server.address], {});
  for (const name of ['a_b.example', '127.1', '0x7f.1', 'a..b', 'bücher.example', 'a\0.example', '']) {
    t.like(await t.throwsAsync(resolver.resolve(name)), { code: 'ENOTFOUND' });
  }
  t.is(server.questions.length, 0);
});

test('the last answer holds while the name server fails, but not against its word that the name is gone', async (t) => {
  const server = await nameServer(t, { 'ghcr.io': { A: '192.0.2.7' } });
  let now = 0;
  const resolver = new Resolver([server.address], {}, () => now);
  const before = await resolver.resolve('ghcr.io');
  now += 61_000;
  server.zone['ghcr.io'] = { code: 2 };
  t.deepEqual(await resolver.resolve('ghcr.io'), before);
  now += 61_000;
  delete server.zone['ghcr.io'];
  const started = performance.now();
  t.deepEqual(await resolver.resolve('ghcr.io'), before);
  t.true(performance.now() - started < 1_500);
  now += 61_000;
  server.zone['ghcr.io'] = { A: '192.0.2.8' };
  const fresh = new Resolver([server.address], {}, () => now);
  t.deepEqual(await fresh.resolve('ghcr.io'), [{ address: '192.0.2.8', family: 4 }]);
  now += 61_000;
  server.zone['ghcr.io'] = { code: 3 };
  await t.throwsAsync(fresh.resolve('ghcr.io'));
});
