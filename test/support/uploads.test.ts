import test from 'ava';
import { Client } from './client.ts';
import { digestOf, makeBlob, toBytes } from './content.ts';
import { makeArtifact, makeImage, topOf } from './image.ts';
import { pull } from './pull/pull.ts';
import { startUpstream } from './upstream/upstream.ts';

const BASIC = { authorization: `Basic ${Buffer.from('ada:pw').toString('base64')}` };

test('an image that was pushed in chunks, at once and by mount can be pulled', async (t) => {
  await using upstream = await startUpstream({ profile: 'basic', users: { ada: 'pw' } });
  using client = new Client({ ca: upstream.ca ?? '', keepAlive: true });
  const image = makeImage({ platforms: ['linux/amd64'], layers: [1000, 2000] });
  const [mounted, chunked, single] = [...image.blobs];
  const send = (method: string, path: string, headers = {}, body: Uint8Array | string = '') =>
    client.request(new URL(path, upstream.url()), { method, headers: { ...BASIC, ...headers }, body });
  const uploads = '/v2/ada/app/blobs/uploads/';
  if (mounted === undefined || chunked === undefined || single === undefined) return t.fail();

  upstream.addBlob('ada/base', { digest: mounted[0], content: mounted[1] });
  t.is((await send('POST', `${uploads}?mount=${mounted[0]}&from=ada/base`)).status, 201);

  const opened = await send('POST', uploads);
  t.is(opened.status, 202);
  const [head, tail] = [chunked[1].read(0, 700), chunked[1].read(700, chunked[1].size)];
  const session = String(opened.headers.location);
  t.is((await send('PATCH', session, { 'content-range': '0-699' }, head)).headers.range, '0-699');
  t.is((await send('PATCH', session, { 'content-range': '900-999' }, head)).status, 416);
  t.is((await send('PUT', `${session}&digest=${chunked[0]}`, { 'content-range': '900-999' }, tail)).status, 416);
  t.is((await send('GET', session)).headers.range, '0-699');
  t.is((await send('PUT', `${session}&digest=${mounted[0]}`, {}, tail)).status, 400);
  const again = String((await send('POST', uploads)).headers.location);
  await send('PATCH', again, {}, head);
  t.is((await send('PUT', `${again}&digest=${chunked[0]}`, {}, tail)).status, 201);

  t.is((await send('POST', `${uploads}?digest=${single[0]}`, {}, toBytes(single[1]))).status, 201);
  const top = topOf(image);
  const put = await send('PUT', '/v2/ada/app/manifests/v1', { 'content-type': top.mediaType }, top.bytes);
  t.is(put.headers['docker-content-digest'], image.digest);
  const credentials = { username: 'ada', password: 'pw' };
  const options = { client, registry: upstream.url(), repository: 'ada/app', reference: 'v1', credentials };
  t.is((await pull('containerd', options)).blobs.size, 3);
  t.is((await send('DELETE', '/v2/ada/app/manifests/v1')).status, 202);
  t.is((await send('HEAD', '/v2/ada/app/manifests/v1')).status, 404);
});

test('a manifest with a subject is answered with OCI-Subject', async (t) => {
  await using upstream = await startUpstream({ profile: 'basic', users: { ada: 'pw' }, tls: false });
  using client = new Client();
  const image = makeImage();
  const { bytes, mediaType, digest } = topOf(makeArtifact(image));
  const put = await client.request(`${upstream.url()}/v2/ada/app/manifests/${digest}`, {
    method: 'PUT',
    headers: { ...BASIC, 'content-type': mediaType },
    body: bytes,
  });
  t.is(put.status, 201);
  t.is(put.headers['oci-subject'], image.digest);
});

test('hosts carry the names they are given, in URLs, challenges and certificates', async (t) => {
  const hosts = { registry: { name: 'registry.test' }, token: { name: 'auth.test' }, cdn: { name: 'cdn.test' } };
  await using upstream = await startUpstream({ profile: 'hub', hosts });
  const connectTo = Object.fromEntries(
    upstream.roles.map((role) => [upstream.authority(role), upstream.listener(role)]),
  );
  using client = new Client({ ca: upstream.ca ?? '', connectTo });
  upstream.add('a/b', makeImage());
  t.regex(upstream.url(), /^https:\/\/registry\.test:\d+$/);
  const ping = await client.request(`${upstream.url()}/v2/`);
  t.regex(String(ping.headers['www-authenticate']), /^Bearer realm="https:\/\/auth\.test:\d+\/token",service="[^"]+"$/);
  const pulled = await pull('dockerd', { client, registry: upstream.url(), repository: 'a/b', reference: 'latest' });
  t.is(new Set(pulled.steps.map(({ url }) => new URL(url).hostname)).size, 3);
});

test('tokens and certificates that have expired open nothing', async (t) => {
  await using upstream = await startUpstream({ profile: 'hub' });
  using client = new Client({ ca: upstream.ca ?? '' });
  const blob = makeBlob('x', 10);
  upstream.addBlob('a/b', blob);
  const answer = await client.request(`${upstream.url('token')}/token?scope=repository:a/b:pull`);
  const { token } = JSON.parse(answer.body.toString()) as { token: string };
  const ask = () =>
    client.request(`${upstream.url()}/v2/a/b/blobs/${blob.digest}`, { headers: { authorization: `Bearer ${token}` } });
  t.is((await ask()).status, 307);
  t.is(upstream.tokensIssued, 1);
  upstream.expireTokens();
  t.regex(String((await ask()).headers['www-authenticate']), /error="invalid_token"/);
  await using old = await startUpstream({ profile: 'hub', tls: { days: -1 } });
  using trusting = new Client({ ca: old.ca ?? '' });
  await t.throwsAsync(trusting.request(old.url()), { code: 'CERT_HAS_EXPIRED' });
});

test('a client sends its target and header lines as they are', async (t) => {
  await using upstream = await startUpstream({ profile: 'mcr', tls: false });
  using client = new Client();
  await client.request(upstream.url(), { target: '/v2/a/../%2e//b', headers: { accept: ['x/y', 'z/w'] } });
  const [seen] = upstream.requests;
  t.is(seen?.url, '/v2/a/../%2e//b');
  t.is(seen?.rawHeaders.filter((field) => /^accept$/i.test(field)).length, 2);
  t.is((await client.request(`${upstream.url()}/v2/`)).digest, digestOf(upstreamPing));
});

const upstreamPing = { size: 2, read: () => Buffer.from('{}') };
