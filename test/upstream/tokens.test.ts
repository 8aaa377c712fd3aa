import test, { type ExecutionContext } from 'ava';
import { Tokens } from '../../src/upstream/tokens.ts';
import { bearerRegistry, eventsOf, pull, type Seen, serve, textOf, upstreamOf } from './support.ts';

const accounts = { bot: { username: 'user', password: 'päss:word' } };
const BASIC = `Basic ${Buffer.from('user:päss:word').toString('base64')}`;

/** A registry whose tokens are numbered; `life` is what `expires_in` says. */
async function numbered(t: ExecutionContext, options: { life?: unknown; field?: string; delay?: number } = {}) {
  let issued = 0;
  const valid = new Set<string>();
  const site = await serve(
    t,
    bearerRegistry({
      accepts: (authorization) => authorization !== undefined && valid.has(authorization),
      challenge: ({ url, headers }) => {
        const scope = `repository:${/^\/v2\/(.*)\/(?:manifests|blobs)\//.exec(url)?.[1]}:pull`;
        return `Bearer realm="http://${headers.host}/token",service="the service",scope="${scope}"`;
      },
      issue: ({ headers }, response) => {
        issued += 1;
        const token = `${headers.authorization === undefined ? 'anonymous' : 'configured'}-${issued}`;
        valid.add(`Bearer ${token}`);
        const { field = 'token', life } = options;
        setTimeout(() => response.end(JSON.stringify({ [field]: token, expires_in: life })), options.delay ?? 0);
      },
    }),
  );
  const tokens = (): Seen[] => site.seen.filter(({ url }) => url.startsWith('/token'));
  return { site, tokens, valid, urls: [site.url] };
}

for (const field of ['token', 'access_token']) {
  test(`an anonymous pull fetches a token by itself from an answer with ${field}`, async (t) => {
    const { site, tokens, urls } = await numbered(t, { field });
    const { status, body } = await upstreamOf(t, { urls }).request(pull());
    t.deepEqual([status, await textOf(body)], [200, 'content']);
    t.is(tokens()[0]?.url, '/token?service=the+service&scope=repository%3Alibrary%2Fnginx%3Apull');
    t.is(tokens()[0]?.headers.authorization, undefined);
    t.is(tokens()[0]?.headers.connection, 'close');
    t.is(site.seen.length, 3);
  });
}

test('the next request shows its token at once, also for a repository not seen before', async (t) => {
  const { site, tokens, urls } = await numbered(t);
  const upstream = upstreamOf(t, { urls });
  for (let n = 0; n < 3; n += 1) await textOf((await upstream.request(pull())).body);
  t.is(site.seen.length, 5);
  await textOf((await upstream.request(pull({ repository: 'a/b', path: '/v2/a/b/manifests/1' }))).body);
  t.is(site.seen.length, 7);
  t.is(tokens()[1]?.url, '/token?service=the+service&scope=repository%3Aa%2Fb%3Apull');
});

test('simultaneous requests share one token request', async (t) => {
  const { tokens, urls } = await numbered(t, { delay: 50 });
  const upstream = upstreamOf(t, { urls });
  const answers = await Promise.all(Array.from({ length: 20 }, () => upstream.request(pull())));
  t.deepEqual(await Promise.all(answers.map(({ body }) => textOf(body))), Array(20).fill('content'));
  t.is(tokens().length, 1);
});

test('a caller who leaves does not end the token request others wait for', async (t) => {
  const { tokens, urls } = await numbered(t, { delay: 200 });
  const upstream = upstreamOf(t, { urls });
  const leaver = new AbortController();
  const left = upstream.request(pull({ signal: leaver.signal }));
  const stays = upstream.request(pull());
  while (tokens().length === 0) await new Promise(setImmediate);
  leaver.abort(new Error('left'));
  await t.throwsAsync(left, { message: 'left' });
  t.is((await stays).status, 200);
  t.is(tokens().length, 1);
});

test('anonymous and configured tokens never stand in for each other', async (t) => {
  const { site, tokens, urls } = await numbered(t);
  const upstream = upstreamOf(t, { urls, accounts });
  const kinds = ['anonymous', 'configured', 'anonymous', 'configured'] as const;
  await Promise.all(
    kinds.map(async (kind) => textOf((await upstream.request(pull({ identity: { kind, account: 'bot' } }))).body)),
  );
  for (const kind of kinds) {
    await textOf((await upstream.request(pull({ identity: { kind, account: 'bot' } }))).body);
    t.regex(site.seen.at(-1)?.headers.authorization ?? '', new RegExp(`^Bearer ${kind}-`));
  }
  t.deepEqual(
    tokens()
      .map(({ headers }) => headers.authorization ?? '')
      .sort(),
    ['', BASIC],
  );
  t.is(tokens().length, 2);
});

test('two upstreams that name the same token server do not share tokens', async (t) => {
  const { tokens, urls } = await numbered(t);
  for (const name of ['a.example', 'b.example']) {
    await textOf((await upstreamOf(t, { name, urls }).request(pull())).body);
  }
  t.is(tokens().length, 2);
});

test('a client’s own header is passed on as it is and its 401 is the answer', async (t) => {
  const { site, urls } = await numbered(t);
  const identity = { kind: 'forward', authorization: 'Bearer stale', principal: 'p' } as const;
  const { status, challenges } = await upstreamOf(t, { urls, accounts }).request(pull({ identity }));
  t.is(status, 401);
  t.regex(challenges[0] ?? '', /^Bearer realm=/);
  t.deepEqual(
    site.seen.map(({ headers }) => headers.authorization),
    ['Bearer stale'],
  );
});

test('a token that the registry takes no longer is replaced once', async (t) => {
  const { tokens, valid, urls } = await numbered(t, { life: 3600 });
  const upstream = upstreamOf(t, { urls });
  await textOf((await upstream.request(pull())).body);
  valid.clear();
  t.is((await upstream.request(pull())).status, 200);
  t.is(tokens().length, 2);
});

test('a 401 after a fresh token ends the matter', async (t) => {
  const site = await serve(
    t,
    bearerRegistry({
      accepts: () => false,
      challenge: ({ headers }) => `Bearer realm="http://${headers.host}/token",service="s",scope="repository:x:pull"`,
      issue: (_request, response) => response.end('{"token":"never good"}'.replace(' ', '-').replace(' ', '-')),
    }),
  );
  const upstream = upstreamOf(t, { urls: [site.url] });
  t.is((await upstream.request(pull())).status, 401);
  t.is(site.seen.length, 3);
  t.is((await upstream.request(pull())).status, 401);
  t.true(site.seen.length <= 6);
});

test('a token fetched ahead that is refused is not fetched twice', async (t) => {
  const site = await serve(
    t,
    bearerRegistry({
      accepts: (authorization, url) => authorization !== undefined && url.includes('/library/nginx/'),
      challenge: ({ url, headers }) => {
        const scope = url.includes('/a/b/') ? 'repository:a/b:pull' : 'repository:library/nginx:pull';
        return `Bearer realm="http://${headers.host}/token",service="s",scope="${scope}"`;
      },
      issue: (_request, response) => response.end('{"token":"tok"}'),
    }),
  );
  const upstream = upstreamOf(t, { urls: [site.url] });
  t.is((await upstream.request(pull())).status, 200);
  t.is(site.seen.length, 3);
  t.is((await upstream.request(pull({ repository: 'a/b', path: '/v2/a/b/manifests/1' }))).status, 401);
  t.is(site.seen.length, 5);
});

test('a token server that refuses makes the registry’s own 401 the answer', async (t) => {
  for (const status of [400, 401, 403, 404, 405]) {
    const site = await serve(
      t,
      bearerRegistry({
        accepts: () => false,
        challenge: ({ headers }) => `Bearer realm="http://${headers.host}/token",service="s"`,
        issue: (_request, response) => response.writeHead(status).end('{"errors":[]}'),
      }),
    );
    const answer = await upstreamOf(t, { urls: [site.url] }).request(pull());
    t.deepEqual([answer.status, await textOf(answer.body), site.seen.length], [401, 'denied', 2]);
  }
});

test('refused configured credentials are reported once, without them', async (t) => {
  const notices = eventsOf(t, 'notice');
  const site = await serve(
    t,
    bearerRegistry({
      accepts: () => false,
      challenge: ({ headers }) => `Bearer realm="http://${headers.host}/token",service="s"`,
      issue: (_request, response) => response.writeHead(401).end(),
    }),
  );
  const upstream = upstreamOf(t, { name: 'refused.example', urls: [site.url], accounts });
  for (let n = 0; n < 3; n += 1) await upstream.request(pull({ identity: { kind: 'configured', account: 'bot' } }));
  const mine = notices.filter(({ message }) => message.startsWith('refused.example'));
  t.deepEqual(
    mine.map(({ level }) => level),
    ['warn'],
  );
  t.notRegex(JSON.stringify(mine), /word|dXNlcj/);
});

test('a failed token request is not remembered', async (t) => {
  let healthy = false;
  const site = await serve(
    t,
    bearerRegistry({
      accepts: (authorization) => authorization === 'Bearer tok',
      challenge: ({ headers }) => `Bearer realm="http://${headers.host}/token",service="s"`,
      issue: (_request, response) => response.writeHead(healthy ? 200 : 501).end('{"token":"tok"}'),
    }),
  );
  const upstream = upstreamOf(t, { urls: [site.url] });
  t.like(await t.throwsAsync(upstream.request(pull())), { failure: 'unreachable', status: 501 });
  healthy = true;
  t.is((await upstream.request(pull())).status, 200);
});

for (const body of [
  '',
  'null',
  '[]',
  '{}',
  '{"token":""}',
  '{"token":7}',
  '{"token":"a\\r\\nx: y"}',
  '<html>',
  '{"token":"a b"}',
]) {
  test(`a token answer ${JSON.stringify(body)} breaks the protocol`, async (t) => {
    const site = await serve(
      t,
      bearerRegistry({
        accepts: () => false,
        challenge: ({ headers }) => `Bearer realm="http://${headers.host}/token"`,
        issue: (_request, response) => response.end(body),
      }),
    );
    t.like(await t.throwsAsync(upstreamOf(t, { urls: [site.url] }).request(pull())), { failure: 'protocol' });
  });
}

test('a token answer that redirects, is encoded or is endless breaks the protocol', async (t) => {
  const other = await serve(t, (_request, response) => response.end('{"token":"stolen"}'));
  for (const issue of [
    (_request: Seen, response: import('node:http').ServerResponse) => {
      response.writeHead(302, { location: other.url.href }).end();
    },
    (_request: Seen, response: import('node:http').ServerResponse) => {
      response.writeHead(200, { 'content-encoding': 'gzip' }).end('x');
    },
    (_request: Seen, response: import('node:http').ServerResponse) => {
      response.on('error', () => {}).end(Buffer.alloc(1_100_000, ' '));
    },
  ]) {
    const challenge = ({ headers }: Seen): string => `Bearer realm="http://${headers.host}/token"`;
    const site = await serve(t, bearerRegistry({ accepts: () => false, challenge, issue }));
    const upstream = upstreamOf(t, { urls: [site.url], accounts });
    const error = await t.throwsAsync(upstream.request(pull({ identity: { kind: 'configured', account: 'bot' } })));
    t.like(error, { failure: 'protocol' });
  }
  t.is(other.seen.length, 0);
});

test('credentials are sent to no token server that is not listed, whatever the challenge says', async (t) => {
  const thief = await serve(t, (_request, response) => response.end('{"token":"tok"}'));
  for (const realm of [
    `${thief.url.origin}/token`,
    `http://localhost:${thief.port}/token`,
    `http://user@127.0.0.1:${thief.port}/token`,
    `http://[::ffff:127.0.0.1]:${thief.port}/token`,
    'https://evil.example/token',
    '/token',
  ]) {
    const site = await serve(t, (_request, response) => {
      response.writeHead(401, { 'www-authenticate': `Bearer realm="${realm}",service="s"` }).end();
    });
    const upstream = upstreamOf(t, { urls: [site.url], accounts });
    for (const kind of ['anonymous', 'configured'] as const) {
      const error = await t.throwsAsync(upstream.request(pull({ identity: { kind, account: 'bot' } })));
      t.like(error, { failure: 'protocol' });
      t.regex(error?.message ?? '', /token server/);
    }
  }
  t.is(thief.seen.length, 0);
});

test('a listed token server on another host is asked', async (t) => {
  const auth = await serve(t, (_request, response) => response.end('{"access_token":"tok","expires_in":300}'));
  const registry = await serve(
    t,
    bearerRegistry({
      accepts: (authorization) => authorization === 'Bearer tok',
      challenge: () =>
        `Bearer realm="${auth.url.origin}/t?x=1&service=old",service="new",scope="repository:a:pull,push repository:b:*"`,
      issue: () => {},
    }),
  );
  const options = { urls: [registry.url], accounts, tokenHosts: [auth.url.host] };
  t.is((await upstreamOf(t, options).request(pull({ identity: { kind: 'configured', account: 'bot' } }))).status, 200);
  t.is(auth.seen[0]?.headers.authorization, BASIC);
  const query = new URLSearchParams(auth.seen[0]?.url.split('?')[1]);
  t.deepEqual(query.getAll('scope'), ['repository:a:pull', 'repository:b:pull']);
  t.deepEqual([query.get('x'), query.getAll('service')], ['1', ['new']]);
});

test('a challenge cannot inject parameters into the token request', async (t) => {
  const { tokens } = await injected(t, 's&account=admin#', 'repository:a:pull&service=x');
  const query = new URLSearchParams(tokens[0]?.url.split('?')[1]);
  t.deepEqual(
    [...query],
    [
      ['service', 's&account=admin#'],
      ['scope', 'repository:a:pull'],
    ],
  );
});

async function injected(t: ExecutionContext, service: string, scope: string) {
  const site = await serve(
    t,
    bearerRegistry({
      accepts: (authorization) => authorization === 'Bearer tok',
      challenge: ({ headers }) => `Bearer realm="http://${headers.host}/token",service="${service}",scope="${scope}"`,
      issue: (_request, response) => response.end('{"token":"tok"}'),
    }),
  );
  t.is((await upstreamOf(t, { urls: [site.url] }).request(pull())).status, 200);
  return { tokens: site.seen.filter(({ url }) => url.startsWith('/token')) };
}

test('Basic is answered with configured credentials only, and at once from then on', async (t) => {
  const site = await serve(t, ({ headers }, response) => {
    if (headers.authorization === BASIC) response.end('content');
    else response.writeHead(401, { 'www-authenticate': 'Basic realm="Registry"' }).end('denied');
  });
  const upstream = upstreamOf(t, { urls: [site.url], accounts });
  t.is((await upstream.request(pull())).status, 401);
  t.is(site.seen.length, 1);
  const configured = pull({ identity: { kind: 'configured', account: 'bot' } });
  t.is((await upstream.request(configured)).status, 200);
  t.is((await upstream.request(configured)).status, 200);
  t.deepEqual(
    site.seen.slice(1).map(({ headers }) => headers.authorization),
    [BASIC, BASIC],
  );
  t.is((await upstream.request(pull())).status, 401);
  t.is(site.seen.at(-1)?.headers.authorization, undefined);
});

test('wrong credentials for Basic are tried once per request', async (t) => {
  const site = await serve(t, (_request, response) => {
    response.writeHead(401, { 'www-authenticate': 'Basic realm="Registry"' }).end('denied');
  });
  const upstream = upstreamOf(t, { urls: [site.url], accounts });
  t.is((await upstream.request(pull({ identity: { kind: 'configured', account: 'bot' } }))).status, 401);
  t.is(site.seen.length, 2);
});

test('without an account, the configured identity is nobody', async (t) => {
  const { tokens, urls } = await numbered(t);
  const upstream = upstreamOf(t, { urls });
  await textOf((await upstream.request(pull({ identity: { kind: 'configured', account: 'bot' } }))).body);
  await textOf((await upstream.request(pull())).body);
  t.is(tokens().length, 1);
});

for (const [expires, usedFor] of [
  [undefined, 54],
  [300, 270],
  ['300', 270],
  [60, 54],
  [5, 54],
  [0, 54],
  [-1, 54],
  ['soon', 54],
  [null, 54],
] as const) {
  test(`a token with expires_in ${JSON.stringify(expires)} is used for ${usedFor} s`, async (t) => {
    let [now, asked] = [1_000, 0];
    const bytes = Buffer.from(JSON.stringify({ token: 'tok', expires_in: expires }));
    const ask = async () => {
      asked += 1;
      return { status: 200, headers: {}, bytes };
    };
    const never = new AbortController().signal;
    const tokens = new Tokens(ask, never, () => now);
    const realm = new URL('https://auth.example/token');
    const request = { realm, service: 's', scopes: ['a'], principal: 'anonymous', guarded: false } as const;
    t.true((await tokens.get(request, never))?.fresh);
    now += usedFor * 1_000 - 1;
    t.false((await tokens.get(request, never))?.fresh);
    now += 2;
    t.true((await tokens.get(request, never))?.fresh);
    t.is(asked, 2);
  });
}
