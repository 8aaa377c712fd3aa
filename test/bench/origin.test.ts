import test from 'ava';
import { HOST } from '../../bench/connection.ts';
import { addImage, blob } from '../../bench/images.ts';
import { Loaders } from '../../bench/loaders.ts';
import { Origin } from '../../bench/origin-process.ts';
import { createAuthority } from '../support/pki.ts';

async function scene() {
  const { ca, issue } = createAuthority();
  const origin = await Origin.start(issue([HOST]), ca);
  const loaders = new Loaders(1);
  return {
    origin,
    loaders,
    [Symbol.dispose]() {
      loaders[Symbol.dispose]();
      origin[Symbol.dispose]();
    },
  };
}

test('the upstream counts what it is asked and the bytes that it sends, ranges by themselves', async (t) => {
  using at = await scene();
  const { digest } = await at.origin.add({ bytes: { seed: 'one', size: 3 << 20 } });
  const whole = blob(digest);
  const part = { ...whole, range: [(2 << 20) - 10, (2 << 20) + 9] } as const;
  await at.loaders.drain(at.origin.target, [[whole, part], [{ ...whole, method: 'HEAD' }]], 2);
  t.deepEqual(await at.origin.tally(digest), { gets: 2, heads: 1, bytes: (3 << 20) + 20 });
  t.deepEqual(await at.origin.tally('sha256:none'), { gets: 0, heads: 0, bytes: 0 });
});

test('an image is asked for by its tag, and every visit is made once', async (t) => {
  using at = await scene();
  const { digest, manifest, blobs } = await addImage(at.origin, 'app', { layers: 3, size: 1000 });
  await at.loaders.drain(at.origin.target, [[manifest, ...blobs]], 4);
  t.is((await at.origin.tally(digest)).gets, 1);
  t.is((await at.origin.tally()).gets, 5);
});

test('two contents of the same size have different digests', async (t) => {
  using at = await scene();
  const add = async (seed: string) => (await at.origin.add({ bytes: { seed, size: 100 } })).digest;
  t.not(await add('one'), await add('other'));
  t.is(await add('one'), await add('one'));
});

test('an answer that is no success fails the job', async (t) => {
  using at = await scene();
  await t.throwsAsync(at.loaders.fetch(at.origin.target, blob('sha256:none')), { message: /404/ });
});
