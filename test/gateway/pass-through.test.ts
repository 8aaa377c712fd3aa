import { once } from 'node:events';
import { Agent, createServer, type IncomingMessage, type RequestListener, type Server } from 'node:http';
import { createServer as createTlsServer, Agent as TlsAgent } from 'node:https';
import { type AddressInfo, createServer as createTcpServer, type Socket } from 'node:net';
import { PassThrough, pipeline } from 'node:stream';
import test, { type ExecutionContext } from 'ava';
import type { GatewayOptions } from '../../src/gateway/gateway.ts';
import { ask, authority, ca, dial, type Running, raw, readAll, start, until, upstreamConfig } from './start.ts';

interface Seen {
  readonly method: string | undefined;
  readonly url: string | undefined;
  readonly rawHeaders: readonly string[];
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

async function listening(t: ExecutionContext, server: Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

/** A gateway whose one upstream is a plain server here, and what that server got to see. */
async function startWith(
  t: ExecutionContext,
  listener: RequestListener,
  some: Partial<GatewayOptions> = {},
  base = '',
): Promise<{ running: Running; seen: Seen[]; port: number }> {
  const seen: Seen[] = [];
  const port = await listening(
    t,
    createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        const { method, url, rawHeaders, headers } = request;
        seen.push({ method, url, rawHeaders, headers, body: Buffer.concat(chunks).toString() });
        listener(request, response);
      });
    }),
  );
  return { running: await startTo(t, `http://127.0.0.1:${port}${base}`, some), seen, port };
}

function startTo(t: ExecutionContext, url: string, some: Partial<GatewayOptions> = {}): Promise<Running> {
  const anyPort = { host: '127.0.0.1', port: 0 };
  const config: GatewayOptions['config'] = {
    listen: { https: [anyPort], http: [anyPort], admin: [anyPort], proxies: [] },
    metrics: 'admin',
    names: [],
    mirror: {},
    hosted: { repositories: [], push: 'none', delete: [] },
    upstreams: { 'registry.example': upstreamConfig('registry.example', { urls: [new URL(url)] }) },
  };
  const agent = new Agent({ keepAlive: true });
  t.teardown(() => agent.destroy());
  return start(t, { config, agent: () => agent, ...some });
}

const PUT = { method: 'PUT', path: '/v2/a/b/manifests/1', body: '{}' } as const;

test('a write goes to the upstream with its body, and the answer comes back', async (t) => {
  const { running, seen, port } = await startWith(t, (_, response) => {
    response.writeHead(201, { 'Docker-Content-Digest': 'sha256:x', 'OCI-Subject': 's', 'X-Secret': 'no' }).end('made');
  });
  const path = '/v2/a/b/blobs/uploads/id?digest=sha256%3Aab&state=a%2Fb&ns=x';
  const headers = { Authorization: 'Bearer t', 'Content-Range': '0-3', 'Content-Type': 'application/octet-stream' };
  const answer = await ask(running, { method: 'PUT', path, headers, body: 'data' });
  t.is(answer.status, 201);
  t.is(answer.body.toString(), 'made');
  t.is(answer.headers['docker-content-digest'], 'sha256:x');
  t.is(answer.headers['oci-subject'], 's');
  t.is(answer.headers['x-secret'], undefined);
  t.is(answer.headers['cache-status'], 'Layover; fwd=bypass');
  t.like(seen[0], { method: 'PUT', url: '/v2/a/b/blobs/uploads/id?digest=sha256%3Aab&state=a%2Fb', body: 'data' });
  t.like(seen[0]?.headers, {
    host: `127.0.0.1:${port}`,
    authorization: 'Bearer t',
    'content-range': '0-3',
    'content-length': '4',
    'accept-encoding': 'identity',
    via: '1.1 layover-test',
  });
  await until(() => running.events.length > 0);
  t.like(running.events[0], { kind: 'pass', door: 'transparent', cache: 'bypass', bytes: 4, aborted: false });
});

test('only fields of the protocol reach the upstream’s API, and nothing of the connection', async (t) => {
  const { running, seen } = await startWith(t, (_, response) => response.end());
  const lines = [
    'PUT /v2/a/manifests/1 HTTP/1.1',
    'Host: registry.example',
    'Connection: close, Authorization, Content-Length, X-Named',
    'Authorization: Bearer t',
    'Cookie: a=b',
    'X-Forwarded-For: 1.2.3.4',
    'Forwarded: for=1.2.3.4',
    'X-Named: n',
    'TE: trailers',
    'Trailer: X',
    'Upgrade: websocket',
    'Proxy-Authorization: Basic x',
    '__proto__: x',
    'Via: 1.0 first',
    'Accept: a',
    'Accept: b',
    'Content-Length: 2',
  ];
  const { received } = await raw(running, 'tls', `${lines.join('\r\n')}\r\n\r\n{}`);
  t.regex(received, /^HTTP\/1\.1 200 /);
  const names = seen[0]?.rawHeaders.filter((_, index) => index % 2 === 0).map((name) => name.toLowerCase());
  t.deepEqual(names?.sort(), [
    'accept',
    'accept',
    'accept-encoding',
    'authorization',
    'connection',
    'content-length',
    'host',
    'via',
  ]);
  t.is(seen[0]?.body, '{}');
  t.is(seen[0]?.headers.via, '1.0 first, 1.1 layover-test');
});

test('a token that we issued ourselves is never sent upstream', async (t) => {
  const identify = () => ({ principal: 'credential:x', offline: true }) as const;
  const { running, seen } = await startWith(t, (_, response) => response.end(), { identify });
  await ask(running, { ...PUT, headers: { Authorization: 'Bearer ours' } });
  t.is(seen[0]?.headers.authorization, undefined);
});

test('a body of any length goes up in chunks as it comes, and 100-continue is answered', async (t) => {
  const { running, seen } = await startWith(t, (_, response) => response.writeHead(202).end());
  const socket = dial(running, 'tls');
  const head = ['PATCH /v2/a/blobs/uploads/1 HTTP/1.1', 'Host: registry.example', 'Connection: close'];
  socket.write(`${[...head, 'Transfer-Encoding: chunked', 'Expect: 100-continue'].join('\r\n')}\r\n\r\n`);
  const [first] = (await once(socket, 'data')) as [Buffer];
  t.is(first.toString(), 'HTTP/1.1 100 Continue\r\n\r\n');
  socket.write('4\r\nsome\r\n6\r\n bytes\r\n0\r\n\r\n');
  const { received } = await readAll(socket);
  t.regex(received, /^HTTP\/1\.1 202 /);
  t.is(seen[0]?.body, 'some bytes');
  t.is(seen[0]?.headers['transfer-encoding'], 'chunked');
});

test('a refused push does not invite its body', async (t) => {
  const running = await start(t);
  const head =
    'PUT /v2/a/manifests/1 HTTP/1.1\r\nHost: gateway.lan\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n';
  const { received } = await raw(running, 'plain', head);
  t.regex(received, /^HTTP\/1\.1 403 /);
});

test('a POST without a body arrives as one', async (t) => {
  const { running, seen } = await startWith(t, (_, response) => response.writeHead(202).end());
  await raw(
    running,
    'tls',
    'POST /v2/a/blobs/uploads/ HTTP/1.1\r\nHost: registry.example\r\nConnection: close\r\n\r\n',
  );
  t.is(seen[0]?.headers['content-length'], '0');
  t.is(seen[0]?.headers['transfer-encoding'], undefined);
});

test('a Location on the upstream becomes one on the host the client spoke to, others stay', async (t) => {
  let location = '';
  const { running, port } = await startWith(
    t,
    (_, response) => response.writeHead(202, { Location: location }).end(),
    {},
    '/base',
  );
  const upload = '/v2/a/blobs/uploads/x?_state=a%2Fb%3D&c';
  const cases: readonly (readonly [string, string])[] = [
    [`http://127.0.0.1:${port}/base${upload}`, `https://registry.example${upload}`],
    [`https://127.0.0.1:${port}/base${upload}`, `https://registry.example${upload}`],
    [`/base${upload}`, upload],
    ['uploads/x', 'uploads/x'],
    [`https://elsewhere.example${upload}`, `https://elsewhere.example${upload}`],
    [`http://127.0.0.1:1${upload}`, `http://127.0.0.1:1${upload}`],
    [`http://u@127.0.0.1:${port}/x`, `http://u@127.0.0.1:${port}/x`],
  ];
  for (const [given, expected] of cases) {
    location = given;
    const answer = await ask(running, { method: 'POST', path: '/v2/a/blobs/uploads/' });
    t.is(answer.status, 202);
    t.is(answer.headers.location, expected, given);
  }
});

test('a Link becomes relative', async (t) => {
  const { running, port } = await startWith(t, (_, response) => {
    response.writeHead(200, { Link: `<http://127.0.0.1:${port}/v2/_catalog?n=1&last=b>; rel="next"` }).end();
  });
  const answer = await ask(running, { path: '/v2/_catalog?n=1' });
  t.is(answer.headers.link, '</v2/_catalog?n=1&last=b>; rel="next"');
});

test('each challenge line is handed over by itself and goes out as it was rewritten', async (t) => {
  const asked: unknown[] = [];
  const rewriteChallenges = (...given: unknown[]): string[] => {
    asked.push(given);
    return ['Bearer realm="ours"', 'Basic realm="x"'];
  };
  const lines = ['Bearer realm="https://auth.example/token",service="s"', 'Basic realm="x"'];
  const { running } = await startWith(
    t,
    (_, response) => response.writeHead(401, { 'WWW-Authenticate': lines }).end('{}'),
    { rewriteChallenges },
  );
  const answer = await ask(running, PUT);
  t.is(answer.status, 401);
  t.deepEqual(asked, [['registry.example', 'https://registry.example', lines]]);
  const got = answer.rawHeaders.filter(
    (_, index) => answer.rawHeaders[index - 1]?.toLowerCase() === 'www-authenticate',
  );
  t.deepEqual(got, ['Bearer realm="ours"', 'Basic realm="x"']);
});

test('an accepted manifest is told of before its client learns of it, a refused one is not', async (t) => {
  const told: unknown[] = [];
  let status = 201;
  const { running } = await startWith(t, (_, response) => response.writeHead(status).end(), {
    onWrite: async (...given) => {
      told.push(given);
    },
  });
  const repository = { root: 'cache', upstream: 'registry.example', name: 'a/b' };
  await ask(running, PUT);
  t.deepEqual(told, [[repository, { tag: '1' }]]);
  await ask(running, { method: 'DELETE', path: PUT.path });
  t.is(told.length, 2);
  status = 403;
  await ask(running, PUT);
  await ask(running, { method: 'POST', path: '/v2/a/blobs/uploads/' });
  t.is(told.length, 2);
});

test('a forgetful listener does not spoil a push that was accepted', async (t) => {
  const { running } = await startWith(t, (_, response) => response.writeHead(201).end(), {
    onWrite: () => {
      throw new Error('disk');
    },
  });
  t.is((await ask(running, PUT)).status, 201);
});

test('a web page is fetched from the presented host itself, verified, and keeps its own fields', async (t) => {
  const seen: IncomingMessage['headers'][] = [];
  const server = createTlsServer(authority.issue(['registry.example']), (request, response) => {
    seen.push({ ...request.headers, url: request.url });
    response.writeHead(302, {
      'Set-Cookie': ['a=1', 'b=2'],
      'X-Site': 'yes',
      Location: 'https://registry.example/x',
      Connection: 'keep-alive, X-Hop',
      'X-Hop': '1',
    });
    response.end('<html>');
  });
  const port = await listening(t, server);
  // The site's real port is 443, which a test cannot have.
  const agentFor = (trusted: string) =>
    new TlsAgent({ ca: trusted, port, host: '127.0.0.1', hostname: '127.0.0.1' } as object);
  const hosts: unknown[] = [];
  const running = await start(t, {
    agent: (upstream, base) => {
      hosts.push([upstream, base.origin]);
      return agentFor(ca);
    },
  });
  const answer = await ask(running, { path: '/r/{a}//b?ns=1&q=%2e"', headers: { Cookie: 'c=d', 'X-Mine': '1' } });
  t.is(answer.status, 302);
  t.is(answer.body.toString(), '<html>');
  t.deepEqual(answer.headers['set-cookie'], ['a=1', 'b=2']);
  t.is(answer.headers['x-site'], 'yes');
  t.is(answer.headers['x-hop'], undefined);
  t.is(answer.headers['docker-distribution-api-version'], undefined);
  t.is(answer.headers.location, 'https://registry.example/x');
  t.deepEqual(hosts, [['registry.example', 'https://registry.example']]);
  t.like(seen[0], { url: '/r/{a}//b?ns=1&q=%2e"', cookie: 'c=d', 'x-mine': '1', host: 'registry.example' });

  const other = await start(t, {
    agent: () => new TlsAgent({ port, host: '127.0.0.1', hostname: '127.0.0.1' } as object),
  });
  t.is((await ask(other, { path: '/' })).status, 502);
});

test('a request to change the protocol is an ordinary request', async (t) => {
  const { running, seen } = await startWith(t, (_, response) => response.writeHead(400).end());
  const head =
    'GET /v2/_catalog HTTP/1.1\r\nHost: registry.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n';
  const socket = dial(running, 'tls');
  socket.write(head);
  const [first] = (await once(socket, 'data')) as [Buffer];
  socket.destroy();
  t.regex(first.toString(), /^HTTP\/1\.1 400 /);
  t.is(seen[0]?.headers.upgrade, undefined);
});

test('HEAD and 204 pass and leave the connection to the upstream usable', async (t) => {
  const sockets = new Set<Socket>();
  const { running } = await startWith(t, (request, response) => {
    sockets.add(request.socket);
    if (request.method === 'DELETE') response.writeHead(204).end();
    else response.writeHead(200, { 'Content-Length': '10' }).end();
  });
  const head = await ask(running, { method: 'HEAD', path: '/v2/_catalog' });
  t.is(head.headers['content-length'], '10');
  t.is((await ask(running, { method: 'DELETE', path: '/v2/a/blobs/uploads/x' })).status, 204);
  t.is((await ask(running, { method: 'HEAD', path: '/v2/_catalog' })).status, 200);
  t.is(sockets.size, 1);
});

test('an upstream that cannot be reached is 504, one that speaks no HTTP 502', async (t) => {
  const gone = createTcpServer();
  gone.listen(0, '127.0.0.1');
  await once(gone, 'listening');
  const { port } = gone.address() as AddressInfo;
  await new Promise((resolve) => gone.close(resolve));
  const unreachable = await startTo(t, `http://127.0.0.1:${port}`);
  const answer = await ask(unreachable, PUT);
  t.is(answer.status, 504);
  t.is(answer.headers['content-type'], 'application/json');
  t.is(JSON.parse(answer.body.toString()).errors[0].code, 'UNAVAILABLE');
  t.notRegex(answer.body.toString(), /127\.0\.0\.1/);

  const babbler = createTcpServer((socket) => socket.on('error', () => undefined).end('SSH-2.0\r\n\r\n'));
  babbler.listen(0, '127.0.0.1');
  await once(babbler, 'listening');
  t.teardown(() => babbler.close());
  const babbling = await startTo(t, `http://127.0.0.1:${(babbler.address() as AddressInfo).port}`);
  t.is((await ask(babbling, { path: '/v2/_catalog' })).status, 502);
});

test('an upstream cut in mid-body ends the client’s connection with bytes missing', async (t) => {
  for (const framing of [{ 'Content-Length': '100' }, {}]) {
    const { running } = await startWith(t, (_, response) => {
      response.writeHead(200, framing);
      response.write('some', () => response.socket?.destroy());
    });
    const head = 'GET /v2/_catalog HTTP/1.1\r\nHost: registry.example\r\n\r\n';
    const { received, ended, error } = await raw(running, 'tls', head);
    t.regex(received, /some(?:\r\n)?$/);
    t.true(ended);
    t.is(error, undefined);
  }
});

test('a client that gives up its upload takes the upstream’s request with it', async (t) => {
  const begun = Promise.withResolvers<void>();
  const cut = Promise.withResolvers<boolean>();
  const port = await listening(
    t,
    createServer((request) => {
      request.on('error', () => undefined);
      request.on('close', () => cut.resolve(!request.complete));
      request.on('data', () => begun.resolve());
    }),
  );
  const running = await startTo(t, `http://127.0.0.1:${port}`);
  const socket = dial(running, 'tls');
  const head = 'PATCH /v2/a/blobs/uploads/1 HTTP/1.1\r\nHost: registry.example\r\nTransfer-Encoding: chunked\r\n';
  socket.write(`${head}User-Agent: ${running.agent}\r\n\r\n4\r\nsome\r\n`);
  await begun.promise;
  socket.destroy();
  t.true(await cut.promise);
  await until(() => running.events.length > 0);
  t.like(running.events[0], { aborted: true });
});

test('a large body goes through both ways', async (t) => {
  const { running } = await startWith(t, (_, response) => response.end(Buffer.alloc(3_000_000, 'down')));
  const answer = await ask(running, {
    method: 'PATCH',
    path: '/v2/a/blobs/uploads/1',
    body: Buffer.alloc(3_000_000, 'up'),
  });
  t.true(answer.body.equals(Buffer.alloc(3_000_000, 'down')));
});

test('what comes back is paced as the limit of its upstream wants, and still cut where the upstream cuts it', async (t) => {
  const paced: string[] = [];
  const pace: GatewayOptions['pace'] = (upstream, body) => {
    paced.push(upstream);
    return pipeline(body, new PassThrough(), () => undefined);
  };
  const { running } = await startWith(
    t,
    (request, response) => {
      if (request.url !== '/v2/_catalog?cut') return void response.end('whole');
      response.writeHead(200, { 'Content-Length': '100' }).write('part', () => response.destroy());
    },
    { pace },
  );
  t.is((await ask(running, { path: '/v2/_catalog' })).body.toString(), 'whole');
  t.true((await ask(running, { path: '/v2/_catalog?cut' })).cut);
  t.deepEqual(paced, ['registry.example', 'registry.example']);
});
