import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import type { ProfileName } from '../support/upstream/profile.ts';
import { ADA, BOB, basic, DOORS, type Door, piecesOf, Scene, smallImage, USERS } from './scene.ts';

const IMAGE = smallImage('accounts');
const PIECES = piecesOf(IMAGE).filter(({ bytes }) => bytes !== undefined);

const BOBS = 'acme/shared/app';
const HIDDEN = 'acme/hidden';
const ADAS = 'team/app';
/** Stands where ada's account is used, and only bob may read it. */
const MISPLACED = 'team/of-bob';
const PUBLIC = 'library/nginx';

interface Opened {
  readonly scene: Scene;
  readonly credentials: readonly object[];
  /** Writes the password that is in a file. */
  write(name: string, password: string): Promise<string>;
}

/** Bob's account for `acme/**`, ada's for everything else. */
async function open(t: ExecutionContext, profile: ProfileName): Promise<Opened> {
  const dir = await mkdtemp(join(tmpdir(), 'layover-accounts-'));
  t.teardown(() => rm(dir, { recursive: true }));
  const write = async (name: string, password: string): Promise<string> => {
    await writeFile(join(dir, name), `${password}\n`);
    return join(dir, name);
  };
  const credentials = [
    {
      repositories: ['acme/**'],
      username: 'bob',
      passwordFile: await write('bob', USERS.bob),
      serve: ['acme/shared/**'],
    },
    { username: 'ada', passwordFile: await write('ada', USERS.ada), serve: ['team/**'] },
  ];
  const scene = await Scene.open({ profile, settings: () => ({ credentials }) });
  scene.upstream.add(BOBS, IMAGE, { access: ['bob'] });
  scene.upstream.add(HIDDEN, IMAGE, { access: ['bob'] });
  scene.upstream.add(ADAS, IMAGE, { access: ['ada'] });
  scene.upstream.add(MISPLACED, IMAGE, { access: ['bob'] });
  scene.upstream.add(PUBLIC, IMAGE);
  return { scene, credentials, write };
}

/** Whether every piece of the image is had through a door, or none. */
async function pulls({ registry }: Scene, door: Door, repository: string): Promise<'all' | 'none' | 'some'> {
  const hasTokens = door === 'transparent' && registry.profile !== 'basic';
  const shown = hasTokens ? await registry.token([repository]) : undefined;
  let had = 0;
  for (const { rest, bytes } of PIECES) {
    const answer = await registry.ask(door, 'GET', repository, rest, shown);
    if (answer.status === 200 && bytes !== undefined && answer.body.equals(bytes)) had++;
  }
  return had === 0 ? 'none' : had === PIECES.length ? 'all' : 'some';
}

for (const profile of ['hub', 'ghcr', 'basic'] as const)
  test(`of two accounts at ${profile} each is used for its own repositories and never for the other's`, async (t) => {
    const { scene } = await open(t, profile);
    await using _ = scene;
    const { upstream, registry } = scene;
    const round = async (when: string): Promise<void> => {
      for (const door of DOORS) {
        t.is(await pulls(scene, door, BOBS), 'all', `${when} ${door}`);
        t.is(await pulls(scene, door, ADAS), 'all', `${when} ${door}`);
        t.is(await pulls(scene, door, HIDDEN), 'none', `${when} ${door}`);
        t.is(await pulls(scene, door, MISPLACED), 'none', `${when} ${door}`);
      }
    };
    await round('cold');
    await round('warm');
    for (const { url, headers, repository, role } of upstream.requests) {
      const { authorization } = headers;
      const name =
        role === 'token' ? decodeURIComponent(url) : profile === 'ghcr' ? decodeURIComponent(url) : repository;
      if (authorization === BOB) t.regex(name, /acme\//);
      if (authorization === ADA) t.notRegex(name, /acme\//);
    }
    t.true(upstream.requests.some(({ headers }) => headers.authorization === BOB));
    t.true(upstream.requests.some(({ headers }) => headers.authorization === ADA));
    await upstream.down();
    await registry.gateway.restart();
    await round('offline after a restart');
  });

test('a password that was changed is used after SIGHUP, and tokens of the old one are not', async (t) => {
  const { scene, credentials, write } = await open(t, 'hub');
  await using _ = scene;
  const { upstream, registry, clock } = scene;
  t.is(await pulls(scene, 'path', ADAS), 'all');
  upstream.setUser('ada', 'another password');
  await write('ada', 'another password');
  upstream.reset();
  const outcome = await registry.gateway.reload('docker.io', { credentials });
  t.deepEqual([outcome?.applied, outcome?.pending], [['upstreams.docker.io (its files)'], []]);
  clock.advance(301);
  t.is(await pulls(scene, 'path', ADAS), 'all');
  t.true(upstream.authorizations('token').includes(basic('ada', 'another password')));
  t.false(upstream.authorizations('token').includes(ADA));
});

test('what one account proved serves nobody once another stands in its place', async (t) => {
  const { scene, credentials, write } = await open(t, 'hub');
  await using _ = scene;
  const { upstream, registry } = scene;
  for (const door of DOORS) t.is(await pulls(scene, door, ADAS), 'all', door);
  const eve = { username: 'eve', passwordFile: await write('eve', USERS.eve), serve: ['**'] };
  const outcome = await registry.gateway.reload('docker.io', { credentials: [credentials[0], eve] });
  t.deepEqual([outcome?.applied, outcome?.pending], [['upstreams.docker.io.credentials'], []]);
  for (const door of DOORS) t.is(await pulls(scene, door, ADAS), 'none', door);
  for (const door of DOORS) t.is(await pulls(scene, door, BOBS), 'all', door);
  await upstream.down();
  for (const door of DOORS) t.is(await pulls(scene, door, ADAS), 'none', `offline ${door}`);
  for (const door of DOORS) t.is(await pulls(scene, door, BOBS), 'all', `offline ${door}`);
  await registry.gateway.reload('docker.io', { credentials: null });
  for (const door of DOORS) t.is(await pulls(scene, door, BOBS), 'none', `no account ${door}`);
});

test('a password file that cannot be read leaves everything as it was', async (t) => {
  const { scene, credentials } = await open(t, 'hub');
  await using _ = scene;
  const missing = { username: 'ada', passwordFile: './missing' };
  await t.throwsAsync(scene.registry.gateway.reload('docker.io', { credentials: [missing] }), { message: /ENOENT/ });
  t.is(await pulls(scene, 'path', ADAS), 'all');
  await scene.registry.gateway.reload('docker.io', { credentials });
  t.is(await pulls(scene, 'path', BOBS), 'all');
});

test('a public repository is pulled with the account that is for it', async (t) => {
  const { scene } = await open(t, 'hub');
  await using _ = scene;
  t.is(await pulls(scene, 'path', PUBLIC), 'all');
  t.is(await pulls(scene, 'path', PUBLIC), 'all');
  t.deepEqual(scene.upstream.authorizations('token').filter(Boolean), [ADA]);
});
