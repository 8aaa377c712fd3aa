import test from 'ava';
import fc from 'fast-check';
import { formatChallenge, parseChallenges } from '../../src/oci/challenge.ts';
import { algorithmOf, Digester, digestOf, encodedOf, isDigestShaped, parseDigest } from '../../src/oci/digest.ts';
import { RegistryError } from '../../src/oci/error.ts';
import { parseManifest } from '../../src/oci/manifest.ts';
import { acceptClass, acceptTypes, essence, isSchema1, MediaType } from '../../src/oci/media-type.ts';
import { isRepositoryName, isTag, matchesPattern } from '../../src/oci/name.ts';
import { formatScope, mapScopes, parseScope, pullScope } from '../../src/oci/scope.ts';

test('a digest is one of the algorithms we verify, in lower-case hex of the right length', (t) => {
  const digest = digestOf(Buffer.from('hello'));
  t.is(digest, 'sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824');
  t.is(parseDigest(digest), digest);
  t.is(algorithmOf(digestOf(Buffer.alloc(0), 'sha512')), 'sha512');
  t.is(encodedOf(digestOf(Buffer.alloc(0), 'sha512')).length, 128);
  for (const wrong of [
    '',
    'sha256:',
    `sha256:${'A'.repeat(64)}`,
    `sha512:${'a'.repeat(64)}`,
    `md5:${'a'.repeat(32)}`,
    `${digest}\n`,
  ]) {
    t.is(parseDigest(wrong), undefined, wrong);
  }
  t.true(isDigestShaped('blake3:abc'));
  t.false(isDigestShaped('latest'));
});

test('a digester can be asked in between and fed further', (t) => {
  const digester = new Digester('sha256');
  digester.update(Buffer.from('hel'));
  t.is(digester.digest(), digestOf(Buffer.from('hel')));
  digester.update(Buffer.from('lo'));
  t.is(digester.digest(), digestOf(Buffer.from('hello')));
});

test('repository names and tags follow the grammar of the distribution-spec, in linear time', (t) => {
  for (const name of ['a', 'library/nginx', 'a-b/c_d/e.f', 'a--b', 'a__b', '0/1']) t.true(isRepositoryName(name), name);
  for (const name of ['', 'A', '-a', 'a-', 'a..b', 'a___b', 'a/', '/a', 'a//b', 'a:b', 'é', 'a'.repeat(256)])
    t.false(isRepositoryName(name), name);
  for (const tag of ['latest', 'v1.0', '_x', 'A', 'x'.repeat(128)]) t.true(isTag(tag), tag);
  for (const tag of ['', '.a', '-a', 'a/b', 'a:b', 'x'.repeat(129)]) t.false(isTag(tag), tag);
  const started = performance.now();
  isRepositoryName(`${'a-'.repeat(127)}!`);
  isRepositoryName('a'.repeat(100_000));
  t.true(performance.now() - started < 2_000);
});

const PATTERNS: readonly [pattern: string, name: string, matches: boolean][] = [
  ['team/**', 'team/app', true],
  ['team/**', 'team/a/b', true],
  ['team/**', 'team', true],
  ['team/**', 'teams/app', false],
  ['**', 'a/b/c', true],
  ['*', 'a', true],
  ['*', 'a/b', false],
  ['acme/*-dev', 'acme/app-dev', true],
  ['acme/*-dev', 'acme/app-prod', false],
  ['a*c', 'abc', true],
  ['a*c', 'ac', true],
  ['a*a', 'a', false],
  ['**/x', 'a/b/x', true],
  ['**/x', 'x', true],
  ['a/**/z', 'a/z', true],
  ['a.b', 'axb', false],
];

for (const [pattern, name, expected] of PATTERNS) {
  test(`the pattern ${pattern} ${expected ? 'covers' : 'does not cover'} ${name}`, (t) => {
    t.is(matchesPattern(pattern, name), expected);
  });
}

test('Accept lines of any order and shape with the same types are one class', (t) => {
  const types = [MediaType.ociIndex, MediaType.ociManifest, MediaType.dockerList, MediaType.dockerManifest, '*/*'];
  const expected = acceptClass([types.join(', ')]);
  fc.assert(
    fc.property(fc.shuffledSubarray(types, { minLength: types.length }), fc.boolean(), (shuffled, oneLine) => {
      t.is(acceptClass(oneLine ? [shuffled.join(',')] : shuffled), expected);
    }),
  );
  t.not(acceptClass([MediaType.ociManifest]), expected);
  t.is(acceptClass([]), '-');
  t.is(acceptClass(['text/made-up;q=0.3']), '-');
  t.deepEqual(acceptTypes(['a/b;q=1, c/d', 'a/b']), ['a/b', 'c/d']);
});

test('media types lose their parameters, and schema 1 is known in all its names', (t) => {
  t.is(essence('Application/JSON; charset=utf-8'), 'application/json');
  t.true(isSchema1(MediaType.schema1Signed));
  t.true(isSchema1('text/plain'));
  t.false(isSchema1(MediaType.ociManifest));
});

test('a manifest names its config, layers and children; what is malformed is left out', (t) => {
  const digest = `sha256:${'a'.repeat(64)}` as const;
  const manifest = {
    mediaType: 'm',
    config: { digest, size: 1 },
    layers: [{ digest, size: 2 }, { digest: 'no', size: 1 }, 3],
    manifests: [{ digest, size: -1 }],
  };
  t.deepEqual(parseManifest(Buffer.from(JSON.stringify(manifest))), {
    mediaType: 'm',
    children: [
      { digest, size: 1 },
      { digest, size: 2 },
    ],
  });
  for (const text of ['', '[]', 'null', '{', '\xff']) t.is(parseManifest(Buffer.from(text, 'latin1')), undefined);
});

test('scopes are read, written and renamed without touching what is not a repository', (t) => {
  t.deepEqual(parseScope('repository:a/b:pull,push'), { type: 'repository', name: 'a/b', actions: ['pull', 'push'] });
  t.deepEqual(parseScope('repository:host:5000/a:pull')?.name, 'host:5000/a');
  t.is(parseScope('nonsense'), undefined);
  t.is(formatScope({ type: 'registry', name: 'catalog', actions: ['*'] }), 'registry:catalog:*');
  t.is(pullScope('a'), 'repository:a:pull');
  t.is(
    mapScopes('repository:a:pull registry:catalog:* x', (name) => `docker.io/${name}`),
    'repository:docker.io/a:pull registry:catalog:* x',
  );
});

test('challenges are read from any spelling and written with every value quoted', (t) => {
  const [bearer, basic] = parseChallenges([
    'bearer realm="https://a/token",service=reg , Scope="repository:a:pull,push", Basic Realm="x \\"y\\""',
  ]);
  t.is(bearer?.params.get('scope'), 'repository:a:pull,push');
  t.is(bearer?.params.get('service'), 'reg');
  t.is(basic?.params.get('realm'), 'x "y"');
  t.is(
    bearer && formatChallenge(bearer),
    'Bearer realm="https://a/token",service="reg",scope="repository:a:pull,push"',
  );
  t.deepEqual(
    parseChallenges(['Bearer realm="a"', 'Basic realm="b"']).map(({ scheme }) => scheme),
    ['bearer', 'basic'],
  );
  t.deepEqual(parseChallenges(['', '=,=']), []);
});

test('reading challenges ends for whatever an upstream sends', (t) => {
  fc.assert(
    fc.property(fc.array(fc.string({ maxLength: 40 })), (lines) => {
      t.true(parseChallenges(lines).length <= 400);
    }),
  );
});

test('an error carries its status and the document of the distribution-spec', (t) => {
  const error = new RegistryError('MANIFEST_UNKNOWN', 'no such tag', { detail: { tag: 'x' }, cause: new Error('why') });
  t.is(error.status, 404);
  t.is(JSON.stringify(error), '{"errors":[{"code":"MANIFEST_UNKNOWN","message":"no such tag","detail":{"tag":"x"}}]}');
  t.is(new RegistryError('UNAVAILABLE').status, 504);
  t.deepEqual(JSON.parse(JSON.stringify(new RegistryError('TOOMANYREQUESTS', 'slow', { document: { errors: [] } }))), {
    errors: [],
  });
});
