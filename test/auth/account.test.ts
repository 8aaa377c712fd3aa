import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import type { LoggedRequest } from '../support/upstream/log.ts';
import type { ProfileName } from '../support/upstream/profile.ts';
import { ADA, DOORS, type Door, EVE, piecesOf, Scene, smallImage, USERS } from './scene.ts';

const IMAGE = smallImage('account');
const [PUBLIC, SERVED, HIDDEN] = ['library/nginx', 'acme/shared/app', 'acme/hidden'];
const PIECES = piecesOf(IMAGE).filter(({ bytes }) => bytes !== undefined);

/** An account whose password is in a file. */
async function open(
  t: ExecutionContext,
  profile: ProfileName,
  account: { readonly username: string; readonly password: string; readonly serve: readonly string[] },
): Promise<Scene> {
  const dir = await mkdtemp(join(tmpdir(), 'layover-account-'));
  t.teardown(() => rm(dir, { recursive: true }));
  const passwordFile = join(dir, 'password');
  await writeFile(passwordFile, `${account.password}\n`);
  const { username, serve } = account;
  const scene = await Scene.open({ profile, settings: () => ({ credentials: { username, passwordFile, serve } }) });
  scene.upstream.add(PUBLIC, IMAGE);
  scene.upstream.add(SERVED, IMAGE, { access: ['bob', 'ada'] });
  scene.upstream.add(HIDDEN, IMAGE, { access: ['bob', 'ada'] });
  return scene;
}

const BOB_SERVES = { username: 'bob', password: USERS.bob, serve: ['acme/shared/**'] };

/** The statuses of a pull by somebody who does what a challenge says. */
async function pull({ registry }: Scene, door: Door, repository: string, login?: string): Promise<number[]> {
  const statuses = new Set<number>();
  let shown = registry.profile === 'basic' ? login : undefined;
  if (door === 'transparent' && registry.profile !== 'basic') shown = await registry.token([repository], login);
  for (const { rest, bytes } of PIECES) {
    const answer = await registry.ask(door, 'GET', repository, rest, shown);
    statuses.add(answer.status === 200 && !answer.body.equals(bytes ?? Buffer.alloc(0)) ? 0 : answer.status);
  }
  return [...statuses];
}

for (const profile of ['hub', 'ghcr', 'gar', 'basic'] as const)
  for (const first of DOORS)
    test(`the account at ${profile} serves everybody what it is to serve and what is public, and nothing else: ${first} first`, async (t) => {
      await using scene = await open(t, profile, BOB_SERVES);
      const { upstream, registry } = scene;
      const doors = [first, ...DOORS.filter((door) => door !== first)];
      const isReadable = profile !== 'basic';
      for (const round of ['cold', 'warm'])
        for (const door of doors) {
          t.deepEqual(await pull(scene, door, SERVED), [200], `${round} ${door}`);
          if (isReadable) t.deepEqual(await pull(scene, door, PUBLIC), [200], `${round} ${door}`);
          for (const status of await pull(scene, door, HIDDEN)) t.true(status >= 400, `${round} ${door}`);
        }
      // Whoever can read the hidden one makes it cached, not public.
      t.deepEqual(await pull(scene, 'transparent', HIDDEN, ADA), [200]);
      for (const door of doors) for (const status of await pull(scene, door, HIDDEN)) t.true(status >= 400, door);
      // A login of somebody who has no right of his own takes nothing away.
      t.deepEqual(await pull(scene, 'transparent', SERVED, EVE), [200]);

      await upstream.down();
      await registry.gateway.restart();
      for (const door of doors) {
        t.deepEqual(await pull(scene, door, SERVED), [200], `offline ${door}`);
        for (const status of await pull(scene, door, HIDDEN)) t.true(status >= 400, `offline ${door}`);
      }
    });

test('the account is shown for public repositories once they are known to be public, never for others', async (t) => {
  await using scene = await open(t, 'hub', BOB_SERVES);
  const { upstream } = scene;
  const basicOf = ({ headers }: LoggedRequest) => headers.authorization;
  t.deepEqual(await pull(scene, 'path', PUBLIC), [200]);
  t.deepEqual(await pull(scene, 'path', PUBLIC), [200]);
  const scopes = upstream.requests.filter(
    (request) => request.role === 'token' && basicOf(request)?.startsWith('Basic'),
  );
  t.true(scopes.length > 0);
  await pull(scene, 'path', HIDDEN);
  await pull(scene, 'transparent', HIDDEN);
  t.deepEqual(
    upstream.requests.filter((request) => request.url.includes('hidden') && basicOf(request)?.startsWith('Basic')),
    [],
  );
});

test('what the account may no longer read is served no longer than five minutes', async (t) => {
  await using scene = await open(t, 'hub', BOB_SERVES);
  const { upstream, clock, registry } = scene;
  t.deepEqual(await pull(scene, 'path', SERVED), [200]);
  upstream.repositories.open(SERVED).access = ['ada'];
  upstream.expireTokens();
  clock.advance(301);
  for (const door of DOORS) for (const status of await pull(scene, door, SERVED)) t.true(status >= 400, door);
  t.deepEqual(await pull(scene, 'transparent', SERVED, ADA), [200], 'who may read it by himself still does');
  await upstream.down();
  await registry.gateway.restart();
  for (const door of DOORS) for (const status of await pull(scene, door, SERVED)) t.true(status >= 400, door);
});

test('a pattern wider than the account’s rights gives away nothing that others made cached', async (t) => {
  await using scene = await open(t, 'hub', { username: 'eve', password: USERS.eve, serve: ['**'] });
  const { upstream, registry } = scene;
  t.notDeepEqual(await pull(scene, 'path', HIDDEN), [200]);
  t.deepEqual(await pull(scene, 'transparent', HIDDEN, ADA), [200]);
  for (const door of DOORS) for (const status of await pull(scene, door, HIDDEN)) t.true(status >= 400, door);
  await upstream.down();
  await registry.gateway.restart();
  for (const door of DOORS) for (const status of await pull(scene, door, HIDDEN)) t.true(status >= 400, door);
});

for (const profile of ['hub', 'ghcr', 'gar'] as const)
  test(`an account that ${profile} refuses does not keep anybody from what is public`, async (t) => {
    await using scene = await open(t, profile, { ...BOB_SERVES, password: 'wrong' });
    t.deepEqual(await pull(scene, 'path', PUBLIC), [200]);
    t.deepEqual(await pull(scene, 'path', PUBLIC), [200]);
    for (const door of DOORS) t.deepEqual(await pull(scene, door, PUBLIC), [200], door);
    for (const status of await pull(scene, 'path', SERVED)) t.true(status >= 400);
  });
