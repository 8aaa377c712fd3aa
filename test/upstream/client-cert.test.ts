import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import type { ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TLSSocket } from 'node:tls';
import test, { type ExecutionContext } from 'ava';
import { digestOf, fromBytes } from '../support/content.ts';
import { TestGateway } from '../support/gateway.ts';
import { createAuthority } from '../support/pki.ts';
import { pull, textOf, upstreamOf } from './support.ts';

const servers = createAuthority();
const clients = createAuthority('clients');
const { ca } = servers;
const clientCert = clients.issue(['gateway one']);
const another = clients.issue(['gateway two']);

interface Guarded {
  readonly url: string;
  readonly authority: string;
  /** `method path: names in the client's certificate`, as they came. */
  readonly seen: string[];
}

/** A TLS server that asks its clients for a certificate, and insists on it where `strict`. */
async function guard(
  t: ExecutionContext,
  strict: boolean,
  respond: (path: string, response: ServerResponse) => void,
): Promise<Guarded> {
  const seen: string[] = [];
  const own = servers.issue(['127.0.0.1']);
  const asking = { ...own, ca: clients.ca, requestCert: true, rejectUnauthorized: strict };
  const server = createServer(asking, (request, response) => {
    const names = (request.socket as TLSSocket).getPeerCertificate().subjectaltname ?? 'no certificate';
    seen.push(`${request.method} ${request.url}: ${names}`);
    request.resume().once('end', () => respond(request.url ?? '', response));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  const authority = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  return { url: `https://${authority}`, authority, seen };
}

test('a registry that asks for a certificate is answered with it, and without one nothing is had there', async (t) => {
  const registry = await guard(t, true, (_, response) => response.end('content'));
  const urls = [new URL(registry.url)];
  const answer = await upstreamOf(t, { urls, ca, clientCert }).request(pull());
  t.is(await textOf(answer.body), 'content');
  t.regex(registry.seen[0] ?? '', /DNS:gateway one/);
  await t.throwsAsync(upstreamOf(t, { urls, ca }).request(pull()), { name: 'UpstreamError' });
  t.is(registry.seen.length, 1);
});

test('a token host is shown the certificate, a place that a redirect leads to is not, the registry itself included', async (t) => {
  const storage: Guarded = await guard(t, false, (path, response) => {
    if (path === '/back') response.writeHead(307, { location: `${registry.url}/elsewhere` }).end();
    else response.end('stored');
  });
  const tokens = await guard(t, false, (_, response) => response.end('{"token":"t"}'));
  const registry: Guarded = await guard(t, false, (path, response) => {
    if (path === '/elsewhere') return void response.end('elsewhere');
    const location = path.endsWith('back') ? `${storage.url}/back` : `${storage.url}/blob`;
    if (response.req.headers.authorization !== undefined) response.writeHead(307, { location }).end();
    else response.writeHead(401, { 'www-authenticate': `Bearer realm="${tokens.url}/token",service="s"` }).end();
  });
  const options = { urls: [new URL(registry.url)], ca, clientCert, tokenHosts: [tokens.authority] };
  const upstream = upstreamOf(t, options);
  for (const [path, body] of [
    ['/v2/a/blobs/x', 'stored'],
    ['/v2/a/blobs/back', 'elsewhere'],
  ] as const)
    t.is(await textOf((await upstream.request(pull({ kind: 'blob', path }))).body), body);
  const shown = 'DNS:gateway one';
  t.deepEqual(storage.seen, ['GET /blob: no certificate', 'GET /back: no certificate']);
  t.true(tokens.seen.length > 0 && tokens.seen.every((line) => line.endsWith(shown)));
  const [elsewhere] = registry.seen.filter((line) => line.includes('/elsewhere'));
  t.is(elsewhere, 'GET /elsewhere: no certificate');
  t.true(registry.seen.filter((line) => line !== elsewhere).every((line) => line.endsWith(shown)));
});

test('a gateway shows its certificate for pulls and pushes, and another one after SIGHUP', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'layover-client-cert-'));
  t.teardown(() => rm(dir, { recursive: true }));
  const files = { chain: join(dir, 'chain.pem'), key: join(dir, 'key.pem') };
  const write = async ({ cert, key }: typeof clientCert): Promise<void> => {
    await writeFile(files.chain, cert);
    await writeFile(files.key, key);
  };
  await write(clientCert);
  await writeFile(join(dir, 'ca.pem'), ca);
  const layer = Buffer.from('a layer');
  const registry = await guard(t, true, (path, response) => {
    if (path.includes('/uploads/')) response.writeHead(202, { location: '/v2/a/blobs/uploads/1' }).end();
    else response.end(path.includes('/blobs/') ? layer : '{}');
  });
  const settings = { urls: [registry.url], ca: join(dir, 'ca.pem'), clientCert: files };
  await using gateway = await TestGateway.start({ upstreams: [], further: { 'reg.example': settings } });
  const use = async (): Promise<string[]> => {
    registry.seen.length = 0;
    const url = `https://reg.example/v2/a/blobs`;
    t.is((await gateway.client.request(`${url}/${digestOf(fromBytes(layer.toString()))}`)).body.toString(), 'a layer');
    t.is((await gateway.client.request(`${url}/uploads/`, { method: 'POST' })).status, 202);
    t.is((await gateway.client.request('https://reg.example/v2/a/tags/list')).status, 200);
    return [...new Set(registry.seen.map((line) => line.replace(/.*: /, '')))];
  };
  t.deepEqual(await use(), ['DNS:gateway one']);
  await write(another);
  t.deepEqual((await gateway.reload('reg.example', {}))?.applied, ['upstreams.reg.example (its files)']);
  t.deepEqual(await use(), ['DNS:gateway two']);
  await writeFile(files.key, clientCert.key);
  await t.throwsAsync(gateway.reload('reg.example', {}), { message: /not a certificate and its unencrypted key/ });
  t.deepEqual(await use(), ['DNS:gateway two']);
});
