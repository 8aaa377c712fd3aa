import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { type RequestEvent, subscribe } from '../../src/events.ts';
import { DOORS, type Door, piecesOf, Scene, smallImage } from '../auth/scene.ts';
import { blobsOf, makeImage } from '../support/image.ts';

const [KNOWN, NEW] = ['limits/known', 'limits/new'];
const IMAGE = smallImage('limits');

test('over the limit of requests what is cached is served on every door, and what is new is refused with 429', async (t) => {
  await using scene = await Scene.open();
  const { upstream, registry } = scene;
  const { gateway } = registry;
  upstream.add(KNOWN, IMAGE);
  upstream.add(NEW, smallImage('limits, never pulled'));
  const pieces = piecesOf(IMAGE).filter(({ bytes }) => bytes !== undefined);
  const token = await registry.token([KNOWN, NEW]);
  const ask = (door: Door, repository: string, rest: string) =>
    registry.ask(door, 'GET', repository, rest, door === 'transparent' ? token : undefined);
  for (const { rest } of pieces) t.is((await ask('path', KNOWN, rest)).status, 200, rest);
  await gateway.reload('docker.io', { limit: { requests: '5/1h' } });
  for (let n = 0; n < 5; n++) t.is((await ask('path', KNOWN, 'tags/list')).status, 200);
  // For a second what a tag means counts as fresh.
  await sleep(1100);
  upstream.reset();
  const events: RequestEvent[] = [];
  t.teardown(subscribe('request', (event) => event.repository === KNOWN && events.push(event)));
  for (const door of DOORS) {
    for (const { rest, bytes } of pieces) t.deepEqual((await ask(door, KNOWN, rest)).body, bytes, `${door} ${rest}`);
    for (const rest of ['manifests/latest', 'tags/list']) {
      const { status, headers, body } = await ask(door, NEW, rest);
      t.is(status, 429, `${door} ${rest}`);
      const seconds = Number(headers['retry-after']);
      t.true(seconds > 3000 && seconds <= 3600, headers['retry-after']);
      t.is((JSON.parse(body.toString()) as { errors: { code: string }[] }).errors[0]?.code, 'TOOMANYREQUESTS');
    }
  }
  t.is(upstream.count({ role: 'registry' }), 0);
  const tags = events.filter(({ reference, why }) => reference === 'latest' && why === 'upstream-throttled');
  t.is(tags.length, DOORS.length);
  await gateway.reload('docker.io', {});
  for (const door of DOORS) t.is((await ask(door, NEW, 'manifests/latest')).status, 200, door);
});

const RATE = 400 * 1024;

test('downloads of one upstream share its bandwidth: together they keep to it, and a late small one does not wait for the big one', async (t) => {
  await using scene = await Scene.open({ settings: () => ({ limit: { bandwidth: '400k' } }) });
  const { upstream, registry } = scene;
  const [big, small] = [4 * RATE, RATE / 8].map((size, at) => {
    const image = makeImage({ seed: `bandwidth ${at}`, platforms: ['linux/amd64'], layers: [size] });
    upstream.add(`limits/image${at}`, image);
    const layer = blobsOf(image).find((digest) => (image.blobs.get(digest)?.size ?? 0) > size / 2) ?? '';
    return { repository: `limits/image${at}`, rest: `blobs/${layer}`, size: image.blobs.get(layer)?.size ?? 0 };
  });
  if (big === undefined || small === undefined) throw new Error('two images');
  const started = performance.now();
  const order: string[] = [];
  const pull = async (name: string, { repository, rest, size }: typeof big): Promise<void> => {
    const answer = await registry.ask('path', 'GET', repository, rest);
    t.deepEqual([answer.status, answer.length], [200, size], name);
    order.push(name);
  };
  const first = pull('big', big);
  while (upstream.bytes({ role: 'cdn' }) === 0) await sleep(20);
  await Promise.all([first, pull('small', small)]);
  t.deepEqual(order, ['small', 'big']);
  const seconds = (performance.now() - started) / 1000;
  t.true(seconds >= (big.size + small.size) / RATE - 0.15, `${seconds} s`);
});
