import test from 'ava';
import fc from 'fast-check';
import { RegistryError } from '../../src/oci/error.ts';
import { isRepositoryName, isTag } from '../../src/oci/name.ts';
import { cachedRepository, namespaced, parseEndpoint } from '../../src/oci/route.ts';

const HEX = 'a'.repeat(64);
const LONG = 'b'.repeat(128);

const PATHS: readonly [path: string, endpoint: object][] = [
  ['/v2', { kind: 'ping' }],
  ['/v2/', { kind: 'ping' }],
  ['/v2/_catalog', { kind: 'catalog' }],
  ['/v2/_layover/token', { kind: 'token' }],
  ['/v2/library/nginx/manifests/latest', { kind: 'manifest', name: 'library/nginx', reference: { tag: 'latest' } }],
  [`/v2/a/manifests/sha256:${HEX}`, { kind: 'manifest', name: 'a', reference: { digest: `sha256:${HEX}` } }],
  [`/v2/a/b/c/blobs/sha512:${LONG}`, { kind: 'blob', name: 'a/b/c', digest: `sha512:${LONG}` }],
  ['/v2/manifests/manifests/manifests', { kind: 'manifest', name: 'manifests', reference: { tag: 'manifests' } }],
  [`/v2/blobs/uploads/blobs/sha256:${HEX}`, { kind: 'blob', name: 'blobs/uploads', digest: `sha256:${HEX}` }],
  ['/v2/a/blobs/uploads', { kind: 'upload', name: 'a' }],
  ['/v2/a/blobs/uploads/', { kind: 'upload', name: 'a' }],
  ['/v2/a/b/blobs/uploads/1-2_3', { kind: 'upload', name: 'a/b', session: '1-2_3' }],
  ['/v2/a/tags/list', { kind: 'tags', name: 'a' }],
  [`/v2/a/referrers/sha256:${HEX}`, { kind: 'referrers', name: 'a', digest: `sha256:${HEX}` }],
  ['/v2/a/blobs/blake3:0123abc', { kind: 'unknown', name: 'a' }],
  ['/v2/extensions', { kind: 'unknown' }],
  ['/', { kind: 'unknown' }],
  ['/v1/search', { kind: 'unknown' }],
  ['/v2x/a/manifests/b', { kind: 'unknown' }],
];

for (const [path, endpoint] of PATHS) {
  test(`${path.slice(0, 60)} is ${JSON.stringify(endpoint).slice(0, 60)}`, (t) => {
    t.deepEqual(parseEndpoint(path) as object, endpoint);
  });
}

const MALFORMED: readonly [path: string, code: string][] = [
  ['/v2/UPPER/manifests/latest', 'NAME_INVALID'],
  ['/v2/a//b/manifests/latest', 'NAME_INVALID'],
  ['/v2/../manifests/latest', 'NAME_INVALID'],
  ['/v2/a/%2e%2e/manifests/latest', 'NAME_INVALID'],
  ['/v2/a\\b/manifests/latest', 'NAME_INVALID'],
  ['/v2/a%2fb/manifests/latest', 'NAME_INVALID'],
  ['/v2/a/manifests/la test', 'NAME_INVALID'],
  [`/v2/${'a/'.repeat(127)}aa/manifests/latest`, 'NAME_INVALID'],
  ['/v2/a/manifests/.hidden', 'TAG_INVALID'],
  [`/v2/a/manifests/${'t'.repeat(129)}`, 'TAG_INVALID'],
  ['/v2/a/manifests/sha256:abc', 'DIGEST_INVALID'],
  [`/v2/a/manifests/sha256:${HEX.toUpperCase()}`, 'DIGEST_INVALID'],
  [`/v2/a/blobs/sha256:${HEX}0`, 'DIGEST_INVALID'],
  ['/v2/a/blobs/latest', 'DIGEST_INVALID'],
  ['/v2/a/referrers/latest', 'DIGEST_INVALID'],
];

for (const [path, code] of MALFORMED) {
  test(`${path.slice(0, 60)} is refused as ${code}`, (t) => {
    t.is(t.throws(() => parseEndpoint(path), { instanceOf: RegistryError })?.code, code as never);
  });
}

test('whatever a path holds, a parsed name, tag or session has the grammar of one', (t) => {
  const piece = fc.oneof(
    fc.constantFrom(
      'manifests',
      'blobs',
      'uploads',
      'tags',
      'list',
      'referrers',
      '..',
      '',
      'a',
      '%2e',
      `sha256:${HEX}`,
    ),
    fc.string({ maxLength: 12 }),
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 7 }), (pieces) => {
      const path = `/v2/${pieces.join('/')}`;
      try {
        const endpoint = parseEndpoint(path);
        if ('name' in endpoint && endpoint.name !== undefined) t.true(isRepositoryName(endpoint.name), path);
        if (endpoint.kind === 'manifest' && endpoint.reference.tag !== undefined) t.true(isTag(endpoint.reference.tag));
      } catch (error) {
        t.true(error instanceof RegistryError, path);
      }
    }),
    { numRuns: 2000 },
  );
});

test('a namespaced name leads back to its repository', (t) => {
  const repository = { root: 'cache', upstream: 'docker.io', name: 'library/nginx' } as const;
  t.is(namespaced(repository), 'docker.io/library/nginx');
  t.deepEqual(cachedRepository('docker.io/library/nginx'), repository);
  t.is(namespaced({ root: 'hosted', upstream: '', name: 'team/app' }), 'team/app');
});
