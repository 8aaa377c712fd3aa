import test from 'ava';
import fc from 'fast-check';
import { acceptManifest } from '../../src/hosted/acceptance.ts';
import { objectionTo } from '../../src/hosted/json-keys.ts';
import { MediaType } from '../../src/oci/media-type.ts';

const A = `sha256:${'a'.repeat(64)}`;
const B = `sha512:${'b'.repeat(128)}`;
const C = `sha256:${'c'.repeat(64)}`;
const of = (digest: string, mediaType = 'application/x'): object => ({ mediaType, digest, size: 3 });

const IMAGE = {
  schemaVersion: 2,
  mediaType: MediaType.ociManifest,
  config: of(A, 'application/vnd.example.config'),
  layers: [of(B), of(A)],
};
const INDEX = { schemaVersion: 2, mediaType: MediaType.ociIndex, manifests: [of(C, MediaType.ociManifest)] };

const bytesOf = (json: unknown): Uint8Array => Buffer.from(typeof json === 'string' ? json : JSON.stringify(json));
const accept = (json: unknown, type: string | undefined = MediaType.ociManifest): unknown =>
  acceptManifest(bytesOf(json), type);

test('images and indexes of OCI and of Docker are accepted with what they name', (t) => {
  t.deepEqual(accept(IMAGE), {
    mediaType: MediaType.ociManifest,
    references: [A, B],
    artifactType: 'application/vnd.example.config',
  });
  t.deepEqual(accept(INDEX, MediaType.ociIndex), { mediaType: MediaType.ociIndex, references: [C] });
  t.like(accept({ ...IMAGE, mediaType: MediaType.dockerManifest }, MediaType.dockerManifest), { references: [A, B] });
  t.like(accept({ ...INDEX, mediaType: MediaType.dockerList }, MediaType.dockerList), { references: [C] });
  t.like(accept(INDEX, `${MediaType.ociIndex}; charset=utf-8`), { mediaType: MediaType.ociIndex });
  const { mediaType: _, ...untyped } = IMAGE;
  t.like(accept(untyped), { mediaType: MediaType.ociManifest });
  t.like(accept({ ...IMAGE, layers: [] }), { references: [A] });
  t.like(accept({ schemaVersion: 2, config: of(A) }), { references: [A] });
  t.like(accept({ ...INDEX, manifests: [] }, MediaType.ociIndex), { references: [] });
});

test('an artifact brings its subject, which need not be there, its type and its annotations', (t) => {
  const artifact = { ...IMAGE, subject: of(C), artifactType: 'application/spdx', annotations: { One: '1', one: '2' } };
  t.deepEqual(accept(artifact), {
    mediaType: MediaType.ociManifest,
    references: [A, B],
    subject: C,
    artifactType: 'application/spdx',
    annotations: { One: '1', one: '2' },
  });
  t.like(accept({ ...INDEX, subject: of(A), artifactType: 'x/y' }, MediaType.ociIndex), { artifactType: 'x/y' });
});

test('fields that nobody knows, descriptors with data and nested objects are kept as they are', (t) => {
  const layer = { ...of(A), data: 'e30=', platform: { os: 'linux' }, custom: { Size: 1, deep: [[{ digest: 2 }]] } };
  t.like(accept({ ...IMAGE, layers: [layer], custom: [1, null, { config: {} }] }), { references: [A] });
});

test('layers that only their owner distributes need not be there', (t) => {
  const foreign = [
    'application/vnd.oci.image.layer.nondistributable.v1.tar+gzip',
    'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip',
  ].map((mediaType) => of(C, mediaType));
  t.like(accept({ ...IMAGE, layers: foreign }), { references: [A] });
});

test('a manifest of another type than the client says, or of none that is known, is refused', (t) => {
  for (const [type, message] of [
    [undefined, /Content-Type: expected the media type/],
    ['application/json', /Content-Type: expected one of application/],
    [MediaType.schema1Signed, /Content-Type: expected one of/],
    ['application/vnd.oci.artifact.manifest.v1+json', /other contents are artifacts/],
    [MediaType.dockerManifest, /mediaType: expected application\/vnd.docker/],
    [MediaType.ociIndex, /mediaType: expected/],
  ] as const)
    t.throws(() => acceptManifest(bytesOf(IMAGE), type), { code: 'MANIFEST_INVALID', message }, type);
  const { mediaType: _, ...untyped } = IMAGE;
  t.throws(() => accept(untyped, MediaType.dockerManifest), { message: /mediaType: expected/ });
});

test('what is an image and an index at once is refused', (t) => {
  t.throws(() => accept({ ...IMAGE, manifests: [] }), { message: /has no manifests/ });
  t.throws(() => accept({ ...INDEX, layers: [] }, MediaType.ociIndex), { message: /has no layers/ });
  t.throws(() => accept({ ...INDEX, config: of(A) }, MediaType.ociIndex), { message: /has no config/ });
});

test('malformed manifests are refused with the place', (t) => {
  for (const [json, message] of [
    ['', /not JSON/],
    ['{', /not JSON/],
    ['\ufeff{}', /not JSON/],
    ['[]', /not a JSON object/],
    ['null', /not a JSON object/],
    [{ ...IMAGE, schemaVersion: 1 }, /schemaVersion: expected 2/],
    [{ ...IMAGE, config: null }, /config: expected a descriptor/],
    [{ ...IMAGE, config: { ...of(A), digest: 'sha256:xyz' } }, /config: expected a descriptor with a sha256/],
    [{ ...IMAGE, layers: {} }, /layers: expected a list/],
    [{ ...IMAGE, layers: [of(A), 'x'] }, /layers\[1\]: expected/],
    [{ ...IMAGE, layers: [{ digest: A, size: -1 }] }, /layers\[0\]: expected a descriptor with a size/],
    [{ ...IMAGE, subject: {} }, /subject: expected/],
    [{ ...IMAGE, annotations: { a: 1 } }, /annotations: expected a map of strings/],
  ] as const)
    t.throws(() => accept(json), { code: 'MANIFEST_INVALID', message }, JSON.stringify(json));
  t.throws(() => acceptManifest(Buffer.from([0x7b, 0xff, 0x7d]), MediaType.ociManifest), { message: /not UTF-8/ });
});

test('keys that two readers take for two things are refused, however they are spelled', (t) => {
  const text = JSON.stringify(IMAGE);
  const also = (more: string): string => `${text.slice(0, -1)},${more}}`;
  for (const more of [
    '"mediaType":"x"',
    '"MEDIATYPE":"x"',
    '"media\\u0054ype":"x"',
    '"Layers":[]',
    '"config":{}',
    '"custom":1,"custom":2',
    '"custom":1,"Custom":2',
    '"subject":{"digest":"x","Digest":"y"}',
    '"subject":{"Digest":"x"}',
    '"\u017fubject":{}',
    '"custom":{"a":1,"a":2}',
    '"annotations":{"a":"1","a":"2"}',
  ])
    t.throws(() => accept(also(more)), { message: /is there more than once|can be taken for/ }, more);
  t.throws(() => accept(text.replace('"mediaType"', '"MediaType"')), { message: /can be taken for "mediaType"/ });
  const tricky = `"text":${JSON.stringify('\\","mediaType":"x","custom\\')}`;
  for (const more of ['"annotations":{"a":"mediaType","A":"2"}', '"custom":{"Digest":1}', tricky])
    t.notThrows(() => accept(also(more)), more);
});

test('no objection is found to JSON whose keys differ, and one to every key that is doubled', (t) => {
  const key = fc.stringMatching(/^[a-z"\\ {}[\]:,\n]{1,8}$/);
  const json = fc.dictionary(key, fc.oneof(fc.string(), fc.dictionary(key, fc.string()), fc.array(fc.string())), {
    minKeys: 1,
  });
  t.notThrows(() =>
    fc.assert(
      fc.property(json, fc.integer({ min: 0, max: 4 }), (object, indent) => {
        const text = JSON.stringify(object, undefined, indent);
        if (objectionTo(text) !== undefined) return false;
        const [first = ''] = Object.keys(object);
        const doubled = `${text.slice(0, text.lastIndexOf('}'))},${JSON.stringify(first)} : 1}`;
        return objectionTo(doubled)?.includes('more than once') === true;
      }),
      { seed: 20261121, numRuns: 2000 },
    ),
  );
});

test('manifests made to keep a registry busy are refused or read in little time', (t) => {
  const annotation = { ...IMAGE, annotations: { large: 'x'.repeat(4_000_000) } };
  const keys = `{${Array.from({ length: 300_000 }, (_, index) => `"k${index}":0`).join(',')},"schemaVersion":2}`;
  const layers = Array.from({ length: 30_000 }, (_, index) => of(`sha256:${index.toString(16).padStart(64, '0')}`));
  const backslashes = `{"a":"${'\\\\'.repeat(1_000_000)}"`;
  const before = process.threadCpuUsage();
  t.like(accept(annotation), { references: [A, B] });
  t.throws(() => accept(keys), { message: /more than 100000 keys/ });
  t.throws(() => accept(`{"a":${'['.repeat(2_000_000)}`), { message: /more than 32 levels/ });
  t.throws(() => accept(`${'{"a":'.repeat(10_000)}1${'}'.repeat(10_000)}`), { message: /more than 32 levels/ });
  t.throws(() => accept({ ...IMAGE, layers }), { message: /more than 10000 others/ });
  t.throws(() => accept(backslashes), { message: /not JSON/ });
  const { user } = process.threadCpuUsage(before);
  t.true(user < 4_000_000, `${user} µs for six of them`);
});
