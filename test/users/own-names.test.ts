import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import anyTest, { type ExecutionContext, type TestFn } from 'ava';
import { subscribe } from '../../src/events.ts';
import { parseChallenges } from '../../src/oci/challenge.ts';
import { codeOf, digestOf, eventually, type Sent, send } from '../hosted/stage.ts';
import { makeBlob } from '../support/content.ts';
import { TestGateway } from '../support/gateway.ts';
import { GatewayProcess } from '../support/gateway-process.ts';
import { type FakeUpstream, startUpstream } from '../support/upstream/upstream.ts';
import { basic, linesOf, type Policy, startWithUsers, usersFile } from './stage.ts';

const test = anyTest as TestFn<{ hub: FakeUpstream; file: string; gateway: TestGateway; clock: { now: number } }>;

const CACHED = makeBlob('cached', 1_000);
const ADA = basic('ada', 'of ada');

test.before(async (t) => {
  const hub = await startUpstream({ profile: 'hub', tls: false });
  hub.addBlob('library/base', CACHED);
  const file = await usersFile({ ada: 'of ada', bob: 'of bob' });
  const clock = { now: Date.now() };
  const gateway = await startWithUsers(file, [hub], { now: () => clock.now });
  Object.assign(t.context, { hub, file, gateway, clock });
});

test.after.always(async ({ context: { gateway, hub, file } }) => {
  await gateway[Symbol.asyncDispose]();
  await hub.close();
  await rm(dirname(file), { recursive: true, force: true });
});

async function startAnother(t: ExecutionContext<{ hub: FakeUpstream; file: string }>, policy: Policy): Promise<string> {
  const gateway = await startWithUsers(t.context.file, [t.context.hub], policy);
  t.teardown(() => gateway[Symbol.asyncDispose]());
  return gateway.own;
}

const TOKEN = '/v2/_layover/token?service=layover&scope=repository:team/app:pull,push';

async function tokenOf(origin: string, headers: Readonly<Record<string, string>> = {}): Promise<string> {
  const { status, body } = await send(origin, 'GET', TOKEN, { headers });
  if (status !== 200) throw new Error(`a token request was answered ${status}`);
  return (JSON.parse(body.toString()) as { token: string }).token;
}

const bearer = (token: string): { readonly authorization: string } => ({ authorization: `Bearer ${token}` });

function push(origin: string, headers: Readonly<Record<string, string>> = {}, content = 'pushed'): Promise<Sent> {
  const path = `/v2/team/app/blobs/uploads/?digest=${digestOf(content)}`;
  return send(origin, 'POST', path, { body: content, headers });
}

function challengeOf({ headers }: Sent): Readonly<Record<string, string>> {
  const [challenge] = parseChallenges([headers['www-authenticate'] ?? '']);
  return { scheme: challenge?.scheme ?? '', ...Object.fromEntries(challenge?.params ?? []) };
}

test('who brings nothing is told at /v2/ where tokens are, by the address that was asked', async (t) => {
  const { gateway } = t.context;
  const sent = await send(gateway.own, 'GET', '/v2/');
  t.is(sent.status, 401);
  t.is(codeOf(sent), 'UNAUTHORIZED');
  t.deepEqual(challengeOf(sent), { scheme: 'bearer', realm: `${gateway.own}/v2/_layover/token`, service: 'layover' });
  const named = await send(gateway.own, 'GET', '/v2/', { headers: { host: 'gateway.lan:5000' } });
  t.is(challengeOf(named).realm, 'http://gateway.lan:5000/v2/_layover/token');
  const head = await send(gateway.own, 'HEAD', '/v2/');
  t.deepEqual([head.status, head.headers['www-authenticate']], [401, sent.headers['www-authenticate']]);
});

test('behind a proxy that is believed, tokens are asked for where its client asked', async (t) => {
  const own = await startAnother(t, { proxies: ['127.0.0.1'] });
  const headers = { host: '127.0.0.1:3000', 'x-forwarded-proto': 'https', 'x-forwarded-host': 'registry.example.com' };
  const { realm } = challengeOf(await send(own, 'GET', '/v2/', { headers }));
  t.is(realm, 'https://registry.example.com/v2/_layover/token');
});

test('a right login opens /v2/, by password and by the token that it gets', async (t) => {
  const { own } = t.context.gateway;
  t.is((await send(own, 'GET', '/v2/', { headers: ADA })).status, 200);
  const sent = await send(own, 'GET', `${TOKEN}&account=ada`, { headers: ADA });
  t.is(sent.headers['cache-control'], 'no-store');
  const document = JSON.parse(sent.body.toString()) as Record<string, string | number>;
  t.is(document.token, document.access_token);
  t.is(document.expires_in, 300);
  t.false(Number.isNaN(Date.parse(String(document.issued_at))));
  t.is((await send(own, 'GET', '/v2/', { headers: bearer(String(document.token)) })).status, 200);
});

test('a token is given for the form of a POST as well', async (t) => {
  const { own } = t.context.gateway;
  const post = (form: Readonly<Record<string, string>>): Promise<Sent> =>
    send(own, 'POST', '/v2/_layover/token', {
      body: new URLSearchParams({ service: 'layover', client_id: 'test', ...form }).toString(),
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
    });
  const sent = await post({ grant_type: 'password', username: 'ada', password: 'of ada' });
  const { token } = JSON.parse(sent.body.toString()) as { token: string };
  t.is((await push(own, bearer(token))).status, 201);
  t.is((await post({ grant_type: 'password', username: 'ada', password: 'of bob' })).status, 401);
  t.is((await post({ grant_type: 'refresh_token', refresh_token: token })).status, 401);
});

test('a wrong login is refused at once wherever it is shown, and gets no token', async (t) => {
  const { own } = t.context.gateway;
  const wrong = [basic('ada', 'of bob'), basic('eve', 'of ada'), basic('ada', ''), { authorization: 'Negotiate abc' }];
  const forged = `${(await tokenOf(own, ADA)).split('.').slice(0, 2).join('.')}.AAAA`;
  for (const headers of [...wrong, bearer(forged), bearer('of-another-registry')])
    for (const path of ['/v2/', TOKEN, `/v2/docker.io/library/base/blobs/${CACHED.digest}`]) {
      const sent = await send(own, 'GET', path, { headers });
      t.is(sent.status, 401, `${headers.authorization} ${path}`);
      t.is(codeOf(sent), 'UNAUTHORIZED');
      t.is(challengeOf(sent).scheme, 'bearer');
    }
  t.is((await push(own, basic('bob', 'of ada'))).status, 401);
});

test('users push, and nobody else does', async (t) => {
  const { own } = t.context.gateway;
  t.is((await push(own, ADA)).status, 201);
  t.is((await push(own, bearer(await tokenOf(own, basic('bob', 'of bob'))))).status, 201);
  for (const headers of [{}, bearer(await tokenOf(own))]) {
    const sent = await push(own, headers);
    t.is(sent.status, 401);
    t.regex(sent.body.toString(), /only users may push here: log in, or ask/);
    t.is(challengeOf(sent).scope, 'repository:team/app:pull,push');
    t.is((await send(own, 'PUT', '/v2/team/app/manifests/1', { body: '{}', headers })).status, 401);
    t.is((await send(own, 'DELETE', '/v2/team/app/manifests/1', { headers })).status, 401);
    t.is((await send(own, 'GET', '/v2/team/app/blobs/uploads/x', { headers })).status, 401);
  }
  const foreign = await send(own, 'PUT', '/v2/docker.io/a/b/manifests/1', { body: '{}', headers: ADA });
  t.is(foreign.status, 403);
});

test('what was pushed and what is cached is read without a login, with an anonymous token and by users', async (t) => {
  const { own } = t.context.gateway;
  await push(own, ADA);
  for (const headers of [{}, bearer(await tokenOf(own)), ADA, basic('', '')])
    for (const path of [
      `/v2/team/app/blobs/${digestOf('pushed')}`,
      `/v2/docker.io/library/base/blobs/${CACHED.digest}`,
      `/v2/library/base/blobs/${CACHED.digest}?ns=docker.io`,
    ])
      t.is((await send(own, 'GET', path, { headers })).status, 200, path);
  const shown = t.context.hub.roles.flatMap((role) => t.context.hub.authorizations(role)).join();
  for (const secret of [ADA.authorization, await tokenOf(own)]) t.false(shown.includes(secret), 'sent upstream');
});

test('another gateway pulls through one with users, as nobody in particular', async (t) => {
  const { hub, file } = t.context;
  const hosts = hub.roles.map((role) => hub.authority(role));
  const dir = await mkdtemp(join(tmpdir(), 'layover-far-'));
  // A process of its own: a gateway knows itself by its process.
  const far = await GatewayProcess.start(dir, { 'docker.io': { url: hub.url(), hosts } }, { users: { file } });
  t.teardown(async () => {
    await far.down();
    await rm(dir, { recursive: true, force: true });
  });
  const urls = [`http://${far.greeting.http}/docker.io`];
  const near = await TestGateway.start({ upstreams: [], further: { 'docker.io': { urls } } });
  t.teardown(() => near[Symbol.asyncDispose]());
  const { status, body } = await send(near.own, 'GET', `/v2/docker.io/library/base/blobs/${CACHED.digest}`);
  t.is(status, 200);
  t.deepEqual(digestOf(body), CACHED.digest);
});

test('a token ends after five minutes, and nothing that a client writes into its scope widens it', async (t) => {
  const { gateway, clock } = t.context;
  const anonymous = await tokenOf(gateway.own);
  t.is((await push(gateway.own, bearer(anonymous))).status, 401);
  const token = await tokenOf(gateway.own, ADA);
  clock.now += 299_000;
  t.is((await push(gateway.own, bearer(token))).status, 201);
  clock.now += 2_000;
  const sent = await push(gateway.own, bearer(token));
  t.is(sent.status, 401);
  t.is(challengeOf(sent).error, 'invalid_token');
});

test('reading is for users alone where the configuration says so, for what is hosted and for what is cached', async (t) => {
  const pushed = `/v2/team/app/blobs/${digestOf('pushed')}`;
  const cached = `/v2/docker.io/library/base/blobs/${CACHED.digest}`;
  const mirrored = `/v2/library/base/blobs/${CACHED.digest}?ns=docker.io`;
  const cases: readonly (readonly [Policy, Readonly<Record<string, number>>])[] = [
    [{ read: 'users' }, { [pushed]: 401, [cached]: 200, [mirrored]: 200, '/v2/_catalog': 401 }],
    [{ mirror: 'users' }, { [pushed]: 200, [cached]: 401, [mirrored]: 401 }],
  ];
  for (const [policy, expected] of cases) {
    const own = await startAnother(t, policy);
    await push(own, ADA);
    for (const [path, status] of Object.entries(expected)) {
      for (const headers of [{}, bearer(await tokenOf(own))])
        t.is((await send(own, 'GET', path, { headers })).status, status, path);
      t.is((await send(own, 'GET', path, { headers: ADA })).status, 200, path);
    }
    const refused = await send(own, 'GET', expected[pushed] === 401 ? pushed : mirrored);
    t.is(challengeOf(refused).scope, `repository:${expected[pushed] === 401 ? 'team/app' : 'library/base'}:pull`);
  }
});

test('a mount brings nobody what is for users alone', async (t) => {
  const own = await startAnother(t, { push: 'anyone', mirror: 'users' });
  const cached = `/v2/docker.io/library/base/blobs/${CACHED.digest}`;
  t.is((await send(own, 'GET', cached, { headers: ADA })).status, 200);
  const mount = async (repository: string, from: string, headers: Readonly<Record<string, string>> = {}) =>
    (await send(own, 'POST', `/v2/team/${repository}/blobs/uploads/?mount=${CACHED.digest}${from}`, { headers }))
      .status;
  // What was just fetched is kept a moment after its client has it.
  await eventually(async () => (await mount('users', '&from=docker.io/library/base', ADA)) === 201);
  for (const from of ['&from=docker.io/library/base', '']) {
    t.is(await mount('app', from), 202, 'an upload instead');
    t.is((await send(own, 'GET', `/v2/team/app/blobs/${CACHED.digest}`)).status, 404);
  }
});

test('with hosted.push: none not even users push, and with anyone nobody needs a login', async (t) => {
  const closed = await push(await startAnother(t, { push: 'none' }), ADA);
  t.is(closed.status, 403);
  t.regex(closed.body.toString(), /set hosted\.push: users, or hosted\.push: anyone/);
  t.is((await push(await startAnother(t, { push: 'anyone' }))).status, 201);
});

test('a user who is taken out, or gets another password, has lost his tokens', async (t) => {
  const file = await usersFile({ ada: 'of ada', bob: 'of bob' });
  t.teardown(() => rm(dirname(file), { recursive: true, force: true }));
  const gateway = await startWithUsers(file, []);
  t.teardown(() => gateway[Symbol.asyncDispose]());
  const [ada, bob] = [await tokenOf(gateway.own, ADA), await tokenOf(gateway.own, basic('bob', 'of bob'))];
  t.is((await push(gateway.own, bearer(ada))).status, 201);
  await writeFile(file, linesOf({ bob: 'another' }));
  await eventually(async () => (await push(gateway.own, bearer(ada))).status === 401);
  t.is((await push(gateway.own, bearer(bob))).status, 401);
  t.is((await push(gateway.own, basic('bob', 'another'))).status, 201);
});

test('a file of users with a mistake stops a reload, and the users of before stay', async (t) => {
  const file = await usersFile({ ada: 'of ada' });
  t.teardown(() => rm(dirname(file), { recursive: true, force: true }));
  const gateway = await startWithUsers(file, []);
  t.teardown(() => gateway[Symbol.asyncDispose]());
  await writeFile(file, linesOf({ bob: 'of bob' }));
  await gateway.reload('docker.io', {});
  t.is((await push(gateway.own, basic('bob', 'of bob'))).status, 201);
  await writeFile(file, 'bob:plain\n');
  await t.throwsAsync(gateway.reload('docker.io', {}), { message: /users\.htpasswd:1: .*bcrypt/ });
  t.is((await push(gateway.own, basic('bob', 'of bob'))).status, 201);
});

test('after many wrong passwords a client is told when to come again', async (t) => {
  const own = await startAnother(t, {});
  for (let count = 0; count < 10; count++)
    t.is((await send(own, 'GET', '/v2/', { headers: basic('ada', `guess ${count}`) })).status, 401);
  const sent = await send(own, 'GET', '/v2/', { headers: basic('ada', 'one more') });
  t.is(sent.status, 429);
  t.regex(String(sent.headers['retry-after']), /^[1-6]$/);
});

test('the log names the user, and no password or token is in a log, an event or a metric', async (t) => {
  const file = await usersFile({ carol: 'hunter2-of-carol' });
  t.teardown(() => rm(dirname(file), { recursive: true, force: true }));
  const gateway = await startWithUsers(file, []);
  t.teardown(() => gateway[Symbol.asyncDispose]());
  const events: unknown[] = [];
  for (const name of ['request', 'notice', 'login'] as const)
    t.teardown(subscribe(name, (event) => events.push(event)));
  const right = basic('carol', 'hunter2-of-carol');
  const token = await tokenOf(gateway.own, right);
  await push(gateway.own, bearer(token));
  await push(gateway.own, basic('carol', 'hunter2-typed-wrong'));
  await push(gateway.own, basic('hunter2-as-name', 'x'));
  await send(gateway.own, 'POST', '/v2/_layover/token', {
    body: 'grant_type=password&username=carol&password=hunter2-of-carol',
  });
  const metrics = (await send(gateway.admin, 'GET', '/metrics')).body.toString();
  t.regex(metrics, /^layover_logins_total\{result="refused"\} \d/m);
  // Other gateways in this process write the same events.
  const { host } = new URL(gateway.own);
  const log = await eventually(async () => {
    const text = await readFile(join(gateway.dir, 'access.log'), 'utf8').catch(() => '');
    const lines = text.split('\n').filter((line) => line.includes(`"host":"${host}"`));
    return lines.length === 5 ? lines : undefined;
  });
  const users = (log ?? []).map((line) => (JSON.parse(line) as { user?: string }).user);
  t.deepEqual(users, ['carol', 'carol', undefined, undefined, 'carol']);
  const told = `${JSON.stringify(events)}${metrics}${log}`;
  for (const secret of ['hunter2', token, token.split('.')[2] ?? token, right.authorization.slice(6)])
    t.false(told.includes(secret), secret);
});

test('without users a login is ignored, and there is no token service', async (t) => {
  const gateway = await TestGateway.start({ upstreams: [] });
  t.teardown(() => gateway[Symbol.asyncDispose]());
  t.is((await send(gateway.own, 'GET', '/v2/', { headers: basic('ada', 'wrong') })).status, 200);
  t.is((await send(gateway.own, 'GET', TOKEN)).status, 404);
});

test('a gateway whose file of users is missing or wrong says so instead of starting', async (t) => {
  await t.throwsAsync(startWithUsers('/nowhere/users.htpasswd', []), { message: /users\.file: .*layover user add/ });
  const file = await usersFile({});
  t.teardown(() => rm(dirname(file), { recursive: true, force: true }));
  await writeFile(file, 'ada:$apr1$abc$def\n');
  await t.throwsAsync(startWithUsers(file, []), { message: /users\.htpasswd:1: .*bcrypt/ });
});
