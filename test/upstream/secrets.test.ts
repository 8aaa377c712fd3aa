import type { ServerResponse } from 'node:http';
import { inspect } from 'node:util';
import test from 'ava';
import type { UpstreamRequest } from '../../src/upstream/contract.ts';
import { bearerRegistry, deadPort, eventsOf, pull, type Seen, serve, upstreamOf } from './support.ts';

const CANARY = /canary|Y2FuYXJ5/i;
const accounts = { bot: { username: 'canary-user', password: 'canary-password' } };
const identities: readonly UpstreamRequest['identity'][] = [
  { kind: 'configured', account: 'bot' },
  { kind: 'forward', authorization: 'Bearer canary-token', principal: 'p' },
];

/** Ways in which an answer goes wrong. */
const FAULTS: Record<string, (request: Seen, response: ServerResponse) => void> = {
  'a reset': (_request, response) => response.socket?.resetAndDestroy(),
  'a 503 that echoes the request': ({ headers }, response) => response.writeHead(503).end(JSON.stringify(headers)),
  'a 429': (_request, response) => response.writeHead(429).end(),
  'a refusal': (_request, response) => response.writeHead(401).end(),
  'a page of HTML': (_request, response) => response.end('<html>canary-in-a-page</html>'),
  'broken HTTP': (_request, response) => response.socket?.end('HTTP/1.1 200 canary-OK\r\nbad field canary\r\n\r\n'),
  'a cut body': (_request, response) => {
    response.writeHead(200, { 'content-length': 1_000 });
    response.write('canary-in-a-body', () => response.socket?.destroy());
  },
  'a broken chunk': (_request, response) => {
    response.socket?.end('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\ncanar\r\nzz canary\r\n');
  },
  'a forbidden redirect': (_request, response) => {
    response.writeHead(307, { location: 'ftp://canary:canary@cdn.example/canary?X-Signature=canary' }).end();
  },
  'an endless redirect': (_request, response) =>
    response.writeHead(307, { location: '/v2/x?X-Signature=canary' }).end(),
  'no Location': (_request, response) => response.writeHead(302).end(),
  'a forbidden realm': (_request, response) => {
    const realm = 'https://canary:canary@auth.example/canary?canary=canary';
    response.writeHead(401, { 'www-authenticate': `Bearer realm="${realm}",service="canary"` }).end();
  },
  silence: () => {},
};

for (const [fault, misbehave] of Object.entries(FAULTS)) {
  test(`${fault}, from a registry, its token server or its storage, betrays no secret`, async (t) => {
    const events = [...(['upstreamRequest', 'notice', 'upstreamBytes'] as const)].map((name) => eventsOf(t, name));
    const failures: unknown[] = [];
    const run = async (upstream: ReturnType<typeof upstreamOf>, identity: UpstreamRequest['identity']) => {
      try {
        const { body } = await upstream.request(pull({ kind: 'blob', identity, headTimeout: 200 }));
        for await (const _chunk of body);
      } catch (error) {
        failures.push(error);
      }
    };
    const bad = await serve(t, misbehave);
    const guide = await serve(t, (_request, response) => {
      response.writeHead(307, { location: `${bad.url.origin}/data?X-Signature=canary` }).end();
    });
    const guarded = await serve(
      t,
      bearerRegistry({
        accepts: () => false,
        challenge: () => `Bearer realm="${bad.url.origin}/token",service="s"`,
        issue: () => {},
      }),
    );
    const tokenHosts = [bad.url.host];
    for (const identity of identities) {
      for (const { url } of [bad, guide]) await run(upstreamOf(t, { urls: [url], accounts, tokenHosts }), identity);
    }
    if (fault !== 'silence') {
      const upstream = upstreamOf(t, { urls: [guarded.url], accounts, tokenHosts });
      await run(upstream, { kind: 'configured', account: 'bot' });
      const query = new URLSearchParams({ account: 'canary' });
      const relay = {
        method: 'GET',
        query,
        authorization: 'Basic Y2FuYXJ5',
        signal: new AbortController().signal,
      } as const;
      await upstream.token(relay).catch((error) => failures.push(error));
    }
    const told = failures.map((error) => {
      // The upstream's own document is for the client that asked, not for the log.
      const { body: _document, ...fields } = error as Record<string, unknown>;
      return inspect([String(error), (error as Error).stack, (error as Error).cause, fields], {
        depth: 8,
        showHidden: true,
      });
    });
    t.notRegex(told.join('\n'), CANARY);
    t.notRegex(inspect(events, { depth: 8 }), CANARY);
    t.true(events[0] !== undefined && events[0].length > 0);
  });
}

test('a dead host and a bad header value betray no secret', async (t) => {
  const dead = new URL(`http://127.0.0.1:${await deadPort(t)}`);
  const site = await serve(t, (_request, response) => response.end());
  const bad = { kind: 'forward', authorization: 'Bearer canary\nx', principal: 'p' } as const;
  for (const [url, identity] of [
    [dead, identities[1]],
    [site.url, bad],
  ] as const) {
    const error = await t.throwsAsync(upstreamOf(t, { urls: [url] }).request(pull({ ...(identity && { identity }) })));
    t.notRegex(inspect(error, { depth: 8, showHidden: true }), CANARY);
  }
  t.is(site.seen.length, 0);
});
