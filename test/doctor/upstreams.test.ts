import { X509Certificate } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { askUpstreams } from '../../src/cli/doctor-egress.ts';
import { loadConfig } from '../../src/config/load.ts';
import { judgeUpstreams, type UpstreamFacts } from '../../src/doctor/upstreams.ts';
import { NameServer } from '../faults/name-server.ts';
import { directoryOf } from '../store/directory.ts';
import { TestGateway } from '../support/gateway.ts';
import { createAuthority } from '../support/pki.ts';
import { startUpstream } from '../support/upstream/upstream.ts';
import { type Respond, serve } from '../upstream/support.ts';
import { fixes, NOBODY, said } from './findings.ts';

const NAME = 'reg.example';

/** Every preset away, and these upstreams there. */
async function asked(
  upstreams: Readonly<Record<string, object>>,
  settings: object = {},
  { env = {}, roots = [] }: { env?: NodeJS.ProcessEnv; roots?: readonly X509Certificate[] } = {},
): Promise<readonly UpstreamFacts[]> {
  const { upstreams: known } = await loadConfig({ file: '(test)', text: '', env: {}, cwd: '/' });
  const none = Object.fromEntries(Object.keys(known).map((name) => [name, null]));
  const text = JSON.stringify({ ...settings, mirror: { default: null }, upstreams: { ...none, ...upstreams } });
  const facts = await askUpstreams(await loadConfig({ file: '(test)', text, env: {}, cwd: '/' }), env, roots);
  // How fast an answer comes is a matter of how busy this machine is.
  return facts.map((one) => ('status' in one.answer ? { ...one, answer: { ...one.answer, milliseconds: 10 } } : one));
}

async function site(t: ExecutionContext, respond: Respond): Promise<string> {
  return (await serve(t, respond)).url.origin;
}

const headers =
  (more: Readonly<Record<string, string>>): Respond =>
  (_, response) =>
    void response.writeHead(200, more).end('{}');

test('a registry that answers is right, with what it says of its limit', async (t) => {
  const url = await site(t, headers({ 'ratelimit-remaining': '76;w=21600' }));
  const found = judgeUpstreams(await asked({ [NAME]: { urls: [url] } }));
  t.regex(said(found).join(), /^ok: reg\.example answers \(200\) in 10 ms, 76 more pulls allowed$/);
});

test('a registry that asks for a token has its token service asked, too', async (t) => {
  await using upstream = await startUpstream({ profile: 'ghcr' });
  const ca = join(directoryOf(t), 'ca.pem');
  await writeFile(ca, upstream.ca ?? '');
  const found = judgeUpstreams(
    await asked({
      [NAME]: { urls: [upstream.url()], tokenHosts: upstream.roles.map((role) => upstream.authority(role)), ca },
    }),
  );
  t.regex(said(found).join(), /^ok: reg\.example answers/);
  t.deepEqual(
    upstream.requests.map(({ url }) => url.split('?')[0]),
    ['/v2/', '/token'],
  );
});

test.serial('Docker Hub is asked how many pulls are left, by what counts as none', async (t) => {
  await using upstream = await startUpstream({ profile: 'hub', tls: false, pullLimit: 42 });
  const hosts = upstream.roles.map((role) => upstream.authority(role));
  const [facts] = await asked({ 'docker.io': { urls: [upstream.url()], tokenHosts: hosts } });
  t.is(facts?.name, 'docker.io');
  t.true(facts !== undefined && 'status' in facts.answer);
  const where = { kind: 'manifest', repository: 'ratelimitpreview/test' } as const;
  t.is(upstream.count({ ...where, method: 'HEAD' }), 2);
  t.is(upstream.count({ ...where, method: 'GET' }), 0);
});

test('a registry that takes no more pulls, or few, or none for now, is told', async (t) => {
  const [none, few] = [headers({ 'ratelimit-remaining': '0;w=21600' }), headers({ 'ratelimit-remaining': '9' })];
  const throttled: Respond = (_, response) => void response.writeHead(429, { 'retry-after': '30' }).end();
  const facts = await asked({
    'none.example': { urls: [await site(t, none)] },
    'few.example': { urls: [await site(t, few)] },
    'throttled.example': { urls: [await site(t, throttled)] },
  });
  const found = judgeUpstreams(facts);
  t.deepEqual(said(found), [
    'problem: none.example takes no more pulls from here for now',
    'warning: few.example takes 9 more pulls from here for now',
    'problem: throttled.example refuses requests from here for now (429), for 30 s',
  ]);
  t.regex(fixes(found)[0] ?? '', /upstreams: \{ none\.example: \{ credentials: /);
});

test.serial('an account that Docker Hub refuses is told, and one that it takes is not', async (t) => {
  await using upstream = await startUpstream({ profile: 'hub', tls: false, users: { bot: 'right' } });
  const hosts = upstream.roles.map((role) => upstream.authority(role));
  const passwordFile = join(directoryOf(t), 'password');
  const credentials = { username: 'bot', passwordFile };
  const hub = { 'docker.io': { urls: [upstream.url()], tokenHosts: hosts, credentials } };
  await writeFile(passwordFile, 'wrong', { mode: 0o600 });
  const found = judgeUpstreams(await asked(hub));
  t.deepEqual(said(found).slice(0, 1), ['warning: docker.io: the token server refuses the configured credentials']);
  t.false(JSON.stringify(found).includes('wrong'));
  await writeFile(passwordFile, 'right');
  t.deepEqual(
    judgeUpstreams(await asked(hub)).map(({ status }) => status),
    ['ok'],
  );
});

test.serial('a URL that is passed over for the next one is told', async (t) => {
  const url = await site(t, headers({}));
  const found = judgeUpstreams(await asked({ [NAME]: { urls: [`http://${NOBODY}`, url] } }));
  t.deepEqual(
    found.map(({ status }) => status),
    ['warning', 'ok'],
  );
  t.regex(said(found)[0] ?? '', /^warning: reg\.example: going on with 127\.0\.0\.1:\d+, because cannot connect/);
});

test("a registry's clock is compared with ours", async (t) => {
  const then = new Date(Date.now() - 3_600_000).toUTCString();
  const [facts] = await asked({ [NAME]: { urls: [await site(t, headers({ date: then }))] } });
  const ahead = facts !== undefined && 'ahead' in facts.answer ? (facts.answer.ahead ?? 0) : 0;
  t.true(ahead >= 3_600_000 && ahead < 3_900_000, String(ahead));
});

test('a registry that cannot be connected to, and one that fails, are problems', async (t) => {
  const failing = await site(t, (_, response) => void response.writeHead(501).end());
  const facts = await asked({ 'away.example': { urls: [`http://${NOBODY}`] }, 'failing.example': { urls: [failing] } });
  const found = judgeUpstreams(facts);
  t.deepEqual(said(found), [
    `problem: away.example: cannot connect to ${NOBODY}: ECONNREFUSED`,
    `problem: failing.example: ${new URL(failing).host} answered 501`,
  ]);
  t.regex(fixes(found)[0] ?? '', /^curl -v http:\/\/127\.83\.1\.9:21987\/v2\/; .*HTTPS_PROXY/);
});

test('registries that cannot be reached for one reason are told together', async (t) => {
  const urls = [`http://${NOBODY}`];
  const found = judgeUpstreams(await asked({ 'one.example': { urls }, 'two.example': { urls } }));
  t.deepEqual(said(found), ['problem: not reached (ECONNREFUSED): one.example, two.example']);
});

test('a certificate that is not trusted is told apart from a registry that is away', async (t) => {
  const certificate = createAuthority().issue(['127.0.0.1']);
  const { port } = await serve(t, headers({}), certificate);
  const found = judgeUpstreams(await asked({ [NAME]: { urls: [`https://127.0.0.1:${port}`] } }));
  t.regex(said(found).join(), /^problem: reg\.example: the certificate of https:\/\/127\.0\.0\.1:\d+ is not trusted/);
  t.regex(fixes(found)[0] ?? '', /ca: \.\/registry-ca\.crt/);
});

test('a proxy that does not answer is named, without its password', async (t) => {
  const found = judgeUpstreams(
    await asked({ [NAME]: {} }, {}, { env: { HTTPS_PROXY: `http://user:secret@${NOBODY}` } }),
  );
  t.regex(said(found).join(), /^problem: reg\.example through the proxy 127\.83\.1\.9:21987: .*ECONNREFUSED/);
  t.false(JSON.stringify(found).includes('secret'));
});

test('names that the name servers do not know are told together', async (t) => {
  await using server = await NameServer.start(() => 'NXDOMAIN');
  const settings = { dns: { servers: [server.authority] } };
  const found = judgeUpstreams(await asked({ 'one.example': {}, 'two.example': {} }, settings));
  t.regex(said(found).join(), /^problem: not resolved by the name servers \(E[A-Z]+\): one\.example, two\.example$/);
});

test('a name that leads back to a port of the gateway is a loop', async (t) => {
  const settings = { listen: { https: '127.0.0.1:8443' }, dns: { pins: { [NAME]: ['127.0.0.1'] } } };
  const found = judgeUpstreams(await asked({ [NAME]: { urls: [`https://${NAME}:8443`] } }, settings));
  t.deepEqual(said(found), ['problem: leading back to this gateway (127.0.0.1): reg.example']);
  t.regex(fixes(found)[0] ?? '', /dns: \{ servers: \[1\.1\.1\.1, 9\.9\.9\.9\] \}/);
});

test("what shows a certificate of the gateway's own root is a loop, wherever it is", async (t) => {
  const further = { [NAME]: { urls: ['https://192.0.2.1'] } };
  await using gateway = await TestGateway.start({ upstreams: [], further });
  const roots = [new X509Certificate(await gateway.rootCertificate())];
  const settings = { dns: { pins: { [NAME]: ['127.0.0.1'] } } };
  const upstreams = { [NAME]: { urls: [`https://${NAME}:${gateway.tlsPort}`] } };
  const found = judgeUpstreams(await asked(upstreams, settings, { roots }));
  t.deepEqual(said(found), ['problem: leading back to this gateway (127.0.0.1): reg.example']);
  t.false(
    said(judgeUpstreams(await asked(upstreams, settings)))
      .join()
      .includes('leading back'),
  );
});

test('a file that an upstream needs and that is not there is told', async (t) => {
  const found = judgeUpstreams(await asked({ [NAME]: { ca: join(directoryOf(t), 'absent.pem') } }));
  t.regex(said(found).join(), /^problem: reg\.example: ENOENT/);
});

const ANSWERED: UpstreamFacts = {
  name: NAME,
  url: `https://${NAME}`,
  isGateway: false,
  notices: [],
  answer: { status: 401, milliseconds: 120.4 },
};

test('a slow registry is a warning, and an answer that breaks the rules a problem', (t) => {
  t.deepEqual(said(judgeUpstreams([ANSWERED])), ['ok: reg.example answers (401) in 120 ms']);
  const slow = judgeUpstreams([{ ...ANSWERED, answer: { status: 200, milliseconds: 3_000 } }]);
  t.deepEqual(said(slow), ['warning: reg.example answers (200) in 3000 ms']);
  const strange = { failure: 'protocol', message: 'reg.example does not speak HTTP: HPE_INVALID_CONSTANT' } as const;
  t.deepEqual(said(judgeUpstreams([{ ...ANSWERED, answer: strange }])), [
    'problem: reg.example: reg.example does not speak HTTP: HPE_INVALID_CONSTANT',
  ]);
});
