import test from 'ava';
import { ADA, basic, Scene, smallImage, USERS } from './scene.ts';

test('a login to a plain registry is checked by the registry itself, each time', async (t) => {
  await using scene = await Scene.open({ profile: 'basic' });
  const { registry, upstream } = scene;
  t.is((await registry.ping(ADA)).status, 200);
  t.is((await registry.ping(basic('ada', 'wrong'))).status, 401);
  upstream.setUser('ada', 'another');
  t.is((await registry.ping(ADA)).status, 401);
  t.is((await registry.ping(basic('ada', 'another'))).status, 200);
  t.is(upstream.count({ kind: 'ping' }), 4);
  await upstream.down();
  t.is((await registry.ping(basic('ada', 'another'))).status, 504);
});

test('a token is checked by the registry that issued it', async (t) => {
  await using scene = await Scene.open();
  const { registry, upstream } = scene;
  const token = await registry.token([], ADA);
  t.is((await registry.ping(token)).status, 200);
  t.is((await registry.ping('Bearer made-up')).status, 401);
  upstream.expireTokens();
  t.is((await registry.ping(token)).status, 401);
});

test('a login is refused or accepted by the token server', async (t) => {
  await using scene = await Scene.open();
  const { registry } = scene;
  t.is((await registry.login([], ADA)).status, 200);
  t.is((await registry.login([], basic('ada', 'wrong'))).status, 401);
});

for (const [profile, status] of [
  ['hub', 401],
  ['ghcr', 401],
  ['basic', 401],
  ['quay', 401],
  ['mcr', 200],
] as const)
  test(`without a credential /v2/ of ${profile} is ${status}, also while it is down and after a restart`, async (t) => {
    await using scene = await Scene.open({ profile });
    const { registry, upstream } = scene;
    const expected = async (): Promise<void> => {
      const { status: answered, headers } = await registry.ping();
      t.deepEqual([answered, headers['www-authenticate'] !== undefined], [status, profile !== 'mcr']);
    };
    await expected();
    await upstream.down();
    await expected();
    await registry.gateway.restart();
    await expected();
    await expected();
  });

test('what /v2/ answers is known from any use of an upstream', async (t) => {
  await using scene = await Scene.open();
  const { registry, upstream } = scene;
  upstream.add('library/nginx', smallImage('pings'));
  t.is((await registry.ask('path', 'GET', 'library/nginx', 'manifests/latest')).status, 200);
  await upstream.down();
  t.is((await registry.ping()).status, 401);
});

test('an upstream that answers /v2/ strangely once is not remembered for it', async (t) => {
  await using scene = await Scene.open();
  const { registry, upstream } = scene;
  const fault = upstream.fault({ kind: 'ping' }, { status: 403 });
  t.is((await registry.ping()).status, 403);
  fault.remove();
  t.is((await registry.ping()).status, 401);
  await upstream.down();
  t.is((await registry.ping()).status, 401);
});

test('our own names ask for nothing and look at no credential', async (t) => {
  await using scene = await Scene.open({ users: USERS });
  const { registry, upstream } = scene;
  upstream.add('library/nginx', smallImage('pings'));
  for (const authorization of [undefined, ADA, basic('ada', 'wrong'), 'Bearer made-up']) {
    const headers = { ...(authorization !== undefined && { authorization }) };
    t.is((await registry.gateway.client.request(`${registry.gateway.own}/v2/`, { headers })).status, 200);
    t.is((await registry.ask('path', 'GET', 'library/nginx', 'manifests/latest', authorization)).status, 200);
    t.is((await registry.ask('mirror', 'GET', 'library/nginx', 'manifests/latest', authorization)).status, 200);
  }
  const seen = JSON.stringify(upstream.requests.map(({ headers }) => headers));
  for (const secret of [ADA, 'made-up']) t.false(seen.includes(secret.replace('Basic ', '')));
});
