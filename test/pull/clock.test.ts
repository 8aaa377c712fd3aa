import test from 'ava';
import { NAMESPACE, TestGateway } from '../support/gateway.ts';
import { makeImage, TYPES } from '../support/image.ts';
import { startUpstream } from '../support/upstream/upstream.ts';
import { DOORS, type Door, urlOf } from './doors.ts';

const DAY = 24 * 60 * 60 * 1000;

test('a gateway whose clock jumps by a year in either direction goes on serving', async (t) => {
  const upstream = await startUpstream({ profile: 'mcr', tls: false });
  t.teardown(() => upstream.close());
  const image = makeImage({ seed: 'jumping', platforms: ['linux/amd64'], layers: [1000] });
  upstream.add('jumping', image);
  const start = Date.now();
  let now = start;
  await using gateway = await TestGateway.start({ upstreams: [upstream], now: () => now });
  const [blob = ''] = image.blobs.keys();
  const pull = async (door: Door, what: string) => {
    const url = urlOf(gateway, door, NAMESPACE.mcr, 'jumping', what);
    const { status, digest } = await gateway.client.request(url, { headers: { accept: TYPES.ociManifest } });
    return [status, digest];
  };
  for (const jump of [0, 366, -366, 732, 0]) {
    now = start + jump * DAY;
    // On TLS the client's connection is kept: by its own clock it would refuse a new one.
    for (const door of DOORS) {
      t.deepEqual(await pull(door, 'manifests/latest'), [200, image.digest], `${door}, ${jump} days`);
      t.deepEqual(await pull(door, `blobs/${blob}`), [200, blob], `${door}, ${jump} days`);
    }
    t.is((await fetch(`${gateway.admin}/readyz`)).status, 200);
  }
});
