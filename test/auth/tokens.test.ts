import test from 'ava';
import type { ClientResponse } from '../support/client.ts';
import { TestGateway } from '../support/gateway.ts';
import { startUpstream } from '../support/upstream/upstream.ts';
import { ADA, EVE, Registry, Scene, smallImage, USERS, until } from './scene.ts';

const IMAGE = smallImage('tokens');
const [OPEN, PRIVATE] = ['library/nginx', 'acme/app'];
const SCOPE = `repository:${PRIVATE}:pull`;

function challengesOf({ rawHeaders }: ClientResponse): string[] {
  return rawHeaders.filter((_, at) => rawHeaders[at - 1]?.toLowerCase() === 'www-authenticate' && at % 2 === 1);
}

/** Quoted strings, separated by commas alone: what every client parses. */
const QUOTED = /^Bearer [a-z]+="[^"]*"(?:,[a-z]+="[^"]*")*$/;

function paramsOf(challenge = ''): Record<string, string> {
  if (!QUOTED.test(challenge)) throw new Error(`unquoted: ${challenge}`);
  return Object.fromEntries(
    [...challenge.matchAll(/([a-z]+)="([^"]*)"/g)].map(([, name = '', value = '']) => [name, value]),
  );
}

async function open(profile: 'hub' | 'ghcr' | 'quay' | 'gar' = 'hub'): Promise<Scene> {
  const scene = await Scene.open({
    profile,
    settings: (upstream) => ({ tokenHosts: ['ghcr.io', ...upstream.roles.map((role) => upstream.authority(role))] }),
  });
  scene.upstream.add(OPEN, IMAGE);
  scene.upstream.add(PRIVATE, IMAGE, { access: ['ada'] });
  return scene;
}

/** The token endpoint, asked by POST. */
function post(scene: Scene, form: Record<string, string>, authorization?: string): Promise<ClientResponse> {
  const { gateway, origin } = scene.registry;
  return gateway.client.request(`${origin}/v2/_layover/token`, {
    method: 'POST',
    headers: {
      'content-type': 'application/x-www-form-urlencoded',
      ...(authorization !== undefined && { authorization }),
    },
    body: new URLSearchParams(form).toString(),
  });
}

function documentOf({ body }: ClientResponse): Record<string, unknown> {
  return JSON.parse(body.toString()) as Record<string, unknown>;
}

test('the realm of every 401 is the host spoken to, live, repeated and offline', async (t) => {
  await using scene = await open();
  const { registry, upstream } = scene;
  const { client } = registry.gateway;
  const eve = (await registry.token([PRIVATE], EVE)) ?? '';
  const challenges = async (host: string): Promise<string[]> => {
    const url = (path: string): string => `https://${host}/v2/${path}`;
    const answers = [
      await client.request(url('')),
      await client.request(url(`${PRIVATE}/manifests/latest`)),
      await client.request(url(`${PRIVATE}/blobs/${IMAGE.digest}`), { method: 'HEAD' }),
      await client.request(url(`${PRIVATE}/tags/list`)),
    ];
    return answers.map((answer) => {
      t.deepEqual([answer.status, challengesOf(answer).length], [401, 1]);
      return challengesOf(answer)[0] ?? '';
    });
  };
  const hosts = ['registry-1.docker.io', 'index.docker.io', 'docker.io'];
  const check = (host: string, lines: readonly string[]): void => {
    for (const line of lines) {
      const { realm, service, scope } = paramsOf(line);
      t.deepEqual([realm, service], [`https://${host}/v2/_layover/token`, 'registry.docker.io']);
      t.is(realm, realm?.toLowerCase(), 'some clients make a challenge lower-case');
      t.true(scope === undefined || scope === SCOPE);
    }
  };
  for (const host of hosts) check(host, await challenges(host));
  const live = await registry.get(PRIVATE, 'manifests/latest', eve);
  check('registry-1.docker.io', challengesOf(live));
  t.is(paramsOf(challengesOf(live)[0]).error, 'insufficient_scope');
  const upper = await client.request('https://registry-1.docker.io/v2/', { headers: { host: 'REGISTRY-1.Docker.IO' } });
  check('registry-1.docker.io', challengesOf(upper));
  await upstream.down();
  for (const host of hosts) check(host, await challenges(host));
  await registry.gateway.restart();
  const again = await registry.gateway.client.request('https://index.docker.io/v2/');
  check('index.docker.io', challengesOf(again));
});

test('tokens are asked for at the realm, at auth.docker.io and where a registry itself has them', async (t) => {
  const ask = async (scene: Scene, url: string): Promise<unknown> => {
    const answer = await scene.registry.gateway.client.request(`${url}?service=s&scope=${SCOPE}`, {
      headers: { authorization: ADA },
    });
    return answer.status === 200 ? typeof documentOf(answer).token : answer.status;
  };
  await using hub = await open();
  for (const url of [
    'https://registry-1.docker.io/v2/_layover/token',
    'https://auth.docker.io/token',
    'https://auth.docker.io/v2/_layover/token',
  ])
    t.is(await ask(hub, url), 'string', url);
  await using ghcr = await open('ghcr');
  t.is(await ask(ghcr, 'https://ghcr.io/token'), 'string');
});

test('a token request arrives as it was sent and is answered as it was answered', async (t) => {
  await using scene = await open();
  const { registry, upstream } = scene;
  const url = `${registry.origin}/v2/_layover/token?service=registry.docker.io&scope=${SCOPE}&scope=repository%3Aother%2Fone%3Apull%2Cpush&account=ada&client_id=x%20y`;
  const answer = await registry.gateway.client.request(url, { headers: { authorization: ADA } });
  t.is(answer.status, 200);
  t.deepEqual(Object.keys(documentOf(answer)), ['token', 'access_token', 'expires_in', 'issued_at']);
  const [asked] = upstream.requests.filter(({ kind }) => kind === 'token');
  const { searchParams } = new URL(asked?.url ?? '', 'http://x');
  t.deepEqual([...searchParams].sort(), [...new URL(url).searchParams].sort());
  t.is(asked?.headers.authorization, ADA);
  t.deepEqual(answer.headers['cache-control'], 'no-store');

  const password = { grant_type: 'password', username: 'ada', password: USERS.ada, service: 'registry.docker.io' };
  const granted = await post(scene, { ...password, scope: SCOPE, access_type: 'offline' });
  const { refresh_token: refresh, token } = documentOf(granted);
  t.is((await registry.get(PRIVATE, 'manifests/latest', `Bearer ${token}`)).status, 200);
  const refreshed = await post(scene, { grant_type: 'refresh_token', refresh_token: String(refresh), scope: SCOPE });
  const second = `Bearer ${documentOf(refreshed).token}`;
  t.is((await registry.get(PRIVATE, 'manifests/latest', second)).status, 200);
  t.is((await post(scene, { ...password, password: 'wrong', scope: SCOPE })).status, 401);
});

for (const [profile, status] of [
  ['quay', 405],
  ['gar', 404],
] as const)
  test(`the refusal of a POST by ${profile} reaches the client, which then asks by GET`, async (t) => {
    await using scene = await open(profile);
    const form = { grant_type: 'password', username: 'ada', password: USERS.ada, scope: SCOPE };
    t.is((await post(scene, form)).status, status);
    t.is((await scene.registry.login([PRIVATE], ADA)).status, 200);
  });

for (const status of [400, 401, 403, 404, 405])
  test(`${status} of a token server reaches the client with what it says`, async (t) => {
    await using scene = await open();
    scene.upstream.fault({ kind: 'token' }, { status });
    const posted = await post(scene, { grant_type: 'refresh_token', refresh_token: 'x', scope: SCOPE });
    const got = await scene.registry.login([PRIVATE], ADA);
    t.deepEqual([posted.status, got.status], [status, status]);
    t.regex(got.body.toString(), status === 401 ? /UNAUTHORIZED/ : /a fault of status/);
  });

for (const effect of [{ status: 503 }, { drop: 'rst' }, { drop: 'fin' }] as const)
  test(`a token server that fails once by ${JSON.stringify(effect)} is asked again`, async (t) => {
    await using scene = await open();
    scene.upstream.fault({ kind: 'token', times: 1 }, effect);
    const token = await scene.registry.token([PRIVATE], ADA);
    t.regex(token ?? '', /^Bearer token-/);
    t.is((await scene.registry.get(PRIVATE, 'manifests/latest', token)).status, 200);
  });

test('while the token server is away, a scope gets a token of ours and a login gets 504', async (t) => {
  await using scene = await open();
  const { registry, upstream } = scene;
  t.is((await registry.get(PRIVATE, 'manifests/latest', await registry.token([PRIVATE], ADA))).status, 200);
  await upstream.down('token');
  t.is((await registry.login([], ADA)).status, 504);
  t.is((await post(scene, { grant_type: 'password', username: 'ada', password: USERS.ada })).status, 504);
  const issued = await registry.login([PRIVATE], ADA);
  const document = documentOf(issued);
  t.is(document.token, document.access_token);
  t.true(Number.isInteger(document.expires_in) && Number(document.expires_in) >= 60);
  t.regex(String(document.issued_at), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/);
  const posted = await post(scene, { grant_type: 'password', username: 'ada', password: USERS.ada, scope: SCOPE });
  for (const answer of [issued, posted]) {
    const ours = `Bearer ${documentOf(answer).token}`;
    t.is((await registry.get(PRIVATE, 'manifests/latest', ours)).status, 200);
    t.is((await registry.ping(ours)).status, 200);
  }
  await upstream.up('token');
  await until(async () => (await registry.login([], ADA)).status === 200);
});

test('a page instead of a token counts as a token server that is away', async (t) => {
  await using scene = await open();
  const { registry, upstream } = scene;
  t.is((await registry.get(PRIVATE, 'manifests/latest', await registry.token([PRIVATE], ADA))).status, 200);
  upstream.fault({ kind: 'token' }, { corruptAt: 0 });
  t.is((await registry.login([], ADA)).status, 504);
  const ours = `Bearer ${documentOf(await registry.login([PRIVATE], ADA)).token}`;
  t.is((await registry.get(PRIVATE, 'manifests/latest', ours)).status, 200);
});

test('our tokens never reach an upstream, whatever is asked with them, and also when they are over', async (t) => {
  await using elsewhere = await startUpstream({ profile: 'ghcr', users: USERS, tls: false });
  await using upstream = await startUpstream({ users: USERS, tls: false });
  let ahead = 0;
  await using gateway = await TestGateway.start({ upstreams: [upstream, elsewhere], now: () => Date.now() + ahead });
  const registries = [new Registry('hub', gateway), new Registry('ghcr', gateway)];
  const [registry = new Registry('hub', gateway)] = registries;
  for (const site of [upstream, elsewhere]) {
    site.add(OPEN, IMAGE);
    site.add(PRIVATE, IMAGE, { access: ['ada'] });
  }
  await registry.get(PRIVATE, 'manifests/latest', await registry.token([PRIVATE], ADA));
  const fault = upstream.fault({ kind: 'token' }, { status: 503 });
  const tokens = [
    await registry.token([PRIVATE], ADA),
    await registry.token([OPEN], EVE),
    await registry.token([OPEN]),
  ];
  fault.remove();
  const askAll = async (): Promise<void> => {
    for (const token of tokens)
      for (const { origin } of registries) {
        const headers = { authorization: token ?? '' };
        for (const [method, path] of [
          ['GET', '/v2/'],
          ['GET', `/v2/${PRIVATE}/manifests/latest`],
          ['HEAD', `/v2/${PRIVATE}/blobs/${IMAGE.digest}`],
          ['GET', `/v2/${OPEN}/manifests/latest`],
          ['GET', `/v2/${OPEN}/tags/list`],
          ['GET', `/v2/${OPEN}/referrers/${IMAGE.digest}`],
          ['GET', '/v2/_catalog'],
          ['GET', `/v2/_layover/token?scope=${SCOPE}`],
          ['PUT', `/v2/${PRIVATE}/manifests/new`],
          ['POST', `/v2/${PRIVATE}/blobs/uploads/`],
          ['DELETE', `/v2/${PRIVATE}/manifests/${IMAGE.digest}`],
        ] as const)
          await gateway.client.request(origin + path, { method, headers });
      }
  };
  await askAll();
  ahead = 301_000;
  await askAll();
  const seen = [...upstream.requests, ...elsewhere.requests].map(({ headers, url }) => JSON.stringify(headers) + url);
  t.true(seen.length > 100);
  for (const token of tokens) {
    const value = token?.slice('Bearer '.length) ?? '';
    t.regex(value, /^ey.+\..+\./);
    t.deepEqual(
      seen.filter((line) => line.includes(value)),
      [],
    );
  }
  for (const one of registries) one[Symbol.dispose]();
});

test('a token of ours that is forged or over opens nothing', async (t) => {
  await using scene = await open();
  const { registry, upstream } = scene;
  t.is((await registry.get(PRIVATE, 'manifests/latest', await registry.token([PRIVATE], ADA))).status, 200);
  await upstream.down();
  const ours = (await registry.token([PRIVATE], ADA))?.slice('Bearer '.length) ?? '';
  const [head = '', payload = '', signature = ''] = ours.split('.');
  const base64 = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const claims = JSON.parse(Buffer.from(payload, 'base64url').toString()) as object;
  const get = async (token: string): Promise<number> =>
    (await registry.get(PRIVATE, 'manifests/latest', `Bearer ${token}`)).status;
  t.is(await get(ours), 200);
  for (const forged of [
    `${head}.${payload}.`,
    `${head}.${payload}.${signature.slice(0, -2)}`,
    `${head}.${base64({ ...claims, exp: 9_999_999_999 })}.${signature}`,
    `${base64({ alg: 'none', typ: 'layover-offline+jwt' })}.${payload}.`,
    `${base64({ alg: 'HS256', typ: 'JWT' })}.${payload}.${signature}`,
  ])
    t.true((await get(forged)) >= 400, forged);
  scene.clock.advance(280);
  t.is(await get(ours), 200);
  scene.clock.advance(21);
  t.is(await get(ours), 401);
});

test('an offline grant ends when it is said to, and at once with 0s', async (t) => {
  for (const [offline, seconds] of [
    ['2h', 7200],
    ['0s', 300],
  ] as const) {
    await using scene = await Scene.open({ config: { grants: { offline } } });
    const { registry, upstream, clock } = scene;
    upstream.add(PRIVATE, IMAGE, { access: ['ada'] });
    t.is((await registry.get(PRIVATE, 'manifests/latest', await registry.token([PRIVATE], ADA))).status, 200);
    await upstream.down();
    const get = async (): Promise<number> =>
      (await registry.get(PRIVATE, 'manifests/latest', await registry.token([PRIVATE], ADA))).status;
    clock.advance(seconds - 10);
    t.is(await get(), 200);
    clock.advance(20);
    t.not(await get(), 200);
    clock.advance(-seconds);
    await registry.gateway.restart();
    t.is((await get()) === 200, offline !== '0s');
  }
});

test('a refused login withdraws what its user could read while the upstream is away', async (t) => {
  await using scene = await open();
  const { registry, upstream } = scene;
  t.is((await registry.get(PRIVATE, 'manifests/latest', await registry.token([PRIVATE], ADA))).status, 200);
  upstream.setUser('ada', 'a new password');
  t.is((await registry.login([PRIVATE], ADA)).status, 401);
  await upstream.down();
  t.is((await registry.get(PRIVATE, 'manifests/latest', await registry.token([PRIVATE], ADA))).status, 504);
});

test('the challenge of an upstream that is to be repeated verbatim keeps its realm', async (t) => {
  await using scene = await Scene.open({ settings: () => ({ challenge: 'verbatim' }) });
  const { registry, upstream } = scene;
  upstream.add(PRIVATE, IMAGE, { access: ['ada'] });
  const expected = `${upstream.url('token')}/token`;
  for (const answer of [await registry.ping(), await registry.get(PRIVATE, 'manifests/latest')])
    t.is(paramsOf(challengesOf(answer)[0]).realm, expected);
});

test('the challenge of a plain registry is passed on as it is', async (t) => {
  await using scene = await Scene.open({ profile: 'basic' });
  const { registry, upstream } = scene;
  upstream.add(PRIVATE, IMAGE, { access: ['ada'] });
  for (const answer of [await registry.ping(), await registry.get(PRIVATE, 'manifests/latest')])
    t.deepEqual([answer.status, challengesOf(answer)], [401, ['Basic realm="Registry Realm"']]);
  await upstream.down();
  t.deepEqual(challengesOf(await registry.ping()), ['Basic realm="Registry Realm"']);
});

test('a challenge that names a strange token server gets no credentials there, and the client 502', async (t) => {
  await using strange = await startUpstream({ users: USERS, tls: false });
  await using scene = await open();
  const { registry, upstream } = scene;
  const realm = `${strange.url('token')}/token`;
  upstream.fault(
    { role: 'registry' },
    { status: 401, headers: { 'www-authenticate': `Bearer realm="${realm}",service="s"` } },
  );
  t.is(paramsOf(challengesOf(await registry.ping())[0]).realm, `${registry.origin}/v2/_layover/token`);
  t.is((await registry.login([PRIVATE], ADA)).status, 502);
  const form = { grant_type: 'password', username: 'ada', password: USERS.ada, scope: SCOPE };
  t.is((await post(scene, form)).status, 502);
  t.true((await registry.ask('path', 'GET', OPEN, 'manifests/latest')).status >= 400);
  t.is(strange.requests.length, 0);
});
