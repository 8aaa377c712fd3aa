import { createHash } from 'node:crypto';
import { gunzipSync } from 'node:zlib';
import test from 'ava';
import fc from 'fast-check';
import { concat, digestOf, fromBytes, generated, gzipped, makeBlob, pieces, toBytes } from './content.ts';
import { blobsOf, type ManifestJson, makeArtifact, makeImage, TYPES, topOf } from './image.ts';

test('the same options give the same bytes, another seed gives others', (t) => {
  t.is(makeImage({ seed: 'a' }).digest, makeImage({ seed: 'a' }).digest);
  t.not(makeImage({ seed: 'a' }).digest, makeImage({ seed: 'b' }).digest);
});

test('every digest, size and diff_id of an image is true, in both formats and algorithms', (t) => {
  for (const format of ['oci', 'docker'] as const) {
    for (const algorithm of ['sha256', 'sha512'] as const) {
      const image = makeImage({ format, algorithm, attestations: format === 'oci' });
      for (const [digest, content] of image.blobs) t.is(digestOf(content, algorithm), digest);
      for (const { digest, bytes } of image.manifests) t.is(digestOf(fromBytes(bytes), algorithm), digest);
      const [configDigest = '', ...layers] = blobsOf(image, 'linux/arm64');
      const config = JSON.parse(read(image.blobs, configDigest).toString()) as { rootfs: { diff_ids: string[] } };
      const archives = layers.map((layer) => gunzipSync(read(image.blobs, layer)));
      t.deepEqual(
        archives.map((archive) => `sha256:${createHash('sha256').update(archive).digest('hex')}`),
        config.rootfs.diff_ids,
      );
    }
  }
});

function read(blobs: ReturnType<typeof makeImage>['blobs'], digest: string): Buffer {
  return toBytes(blobs.get(digest) ?? fromBytes(''));
}

test('an image for one platform has no index, and layers with a seed of their own are shared', (t) => {
  const layers = [{ seed: 'base', size: 100 }, 200];
  const one = makeImage({ seed: 'one', platforms: ['linux/amd64'], layers });
  const two = makeImage({ seed: 'two', platforms: ['linux/amd64'], layers });
  t.is(topOf(one).mediaType, TYPES.ociManifest);
  t.is(blobsOf(one)[1], blobsOf(two)[1]);
  t.not(blobsOf(one)[2], blobsOf(two)[2]);
});

test('an artifact names its subject', (t) => {
  const image = makeImage();
  const { subject } = JSON.parse(topOf(makeArtifact(image)).bytes.toString()) as ManifestJson;
  t.is(subject?.digest, image.digest);
});

test('content is the same however it is cut into reads', (t) => {
  const content = gzipped(concat([fromBytes('head'), generated('seed', 200_000), fromBytes('tail')]));
  const whole = toBytes(content);
  t.is(gunzipSync(whole).subarray(0, 4).toString(), 'head');
  fc.assert(
    fc.property(fc.nat(whole.length), fc.nat(whole.length), (a, b) => {
      const [start, end] = [Math.min(a, b), Math.max(a, b)];
      return content.read(start, end).equals(whole.subarray(start, end));
    }),
  );
});

test('a blob of gigabytes is read in pieces at any place', (t) => {
  const content = generated('big', 2 ** 34);
  t.is(content.read(2 ** 33, 2 ** 33 + 5).length, 5);
  t.deepEqual(content.read(2 ** 33 + 3, 2 ** 33 + 5), content.read(2 ** 33, 2 ** 33 + 5).subarray(3));
  t.is([...pieces(makeBlob('small', 600_000).content)].length, 3);
});
