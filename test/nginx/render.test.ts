import { generateKeyPairSync, X509Certificate } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { renderFront, writeCertificate } from '../../src/cli/nginx-compat.ts';
import type { Config } from '../../src/config/config.ts';
import { loadConfig } from '../../src/config/load.ts';
import { rootOptions } from '../../src/config/root-options.ts';
import { frontOf, remarkOn } from '../../src/nginx/front.ts';
import { MARK, render } from '../../src/nginx/render.ts';
import { activateNextRoot, makeNextRoot, openRoot } from '../../src/tls/root.ts';
import { createAuthority } from '../support/pki.ts';

const EXAMPLE = join(import.meta.dirname, '../../nginx-compat/example');
const none = (_: string): boolean => false;

async function folder(t: ExecutionContext): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'layover-nginx-'));
  t.teardown(() => rm(dir, { recursive: true }));
  return dir;
}

function load(text: string, cwd = '/srv'): Promise<Config> {
  return loadConfig({ file: 'gateway.yaml', text, env: {}, cwd });
}

function site(config: Config, isBrought = none): string {
  return render(frontOf(config, isBrought)).get('conf.d/layover.conf') ?? '';
}

const ONLY_GHCR =
  'upstreams: { docker.io: null, quay.io: null, lscr.io: null, registry.k8s.io: null, gcr.io: null, mcr.microsoft.com: null, public.ecr.aws: null }\n';

test('the example that is kept is what render makes of the gateway.yaml beside it', async (t) => {
  const config = await loadConfig({ file: join(EXAMPLE, 'gateway.yaml'), env: {}, cwd: EXAMPLE });
  const files = render(frontOf(config, none));
  t.deepEqual([...files.keys()], ['conf.d/layover.conf', 'snippets/layover-proxy.conf']);
  for (const [path, text] of files) t.is(await readFile(join(EXAMPLE, path), 'utf8'), text, path);
  t.is(remarkOn(config), undefined);
});

test('nginx answers for every name of the configuration and hands it to the plain listener', async (t) => {
  const text = site(await load(`${ONLY_GHCR}names: [cache.lan, 192.0.2.7, "2001:db8::7"]\n`));
  t.regex(text, /server_name\n {4}192\.0\.2\.7\n {4}\[2001:db8::7\]\n {4}cache\.lan\n {4}ghcr\.io;/);
  t.regex(text, /server 127\.0\.0\.1:5000;/);
  t.regex(text, /ssl_certificate layover\.pem;\n {2}ssl_certificate_key layover\.pem;/);
  const cases: readonly (readonly [string, string])[] = [
    [':5001', '127.0.0.1:5001'],
    ['0.0.0.0:80', '127.0.0.1:80'],
    ['192.0.2.9:5000', '192.0.2.9:5000'],
    ['"[fd00::1]:5000"', '[fd00::1]:5000'],
    ['localhost:5000', 'localhost:5000'],
    ['[127.0.0.1:5001, ":5002"]', '127.0.0.1:5001'],
  ];
  for (const [http, server] of cases)
    t.true(site(await load(`listen: { http: ${http} }`)).includes(`  server ${server};\n`), http);
  await t.throwsAsync(async () => site(await load('listen: { http: ":0" }')), { message: /listen\.http has port 0/ });
});

test('a certificate that was made elsewhere is shown for its names and ours for the others', async (t) => {
  const config = await load(`${ONLY_GHCR}certs: { chain: "my certs/chain.pem", key: /etc/ssl/key.pem }\n`);
  const text = site(config, (name) => name === 'gateway.lan');
  const servers = text.split(/^server \{$/m).slice(1);
  t.is(servers.length, 2);
  t.regex(servers[0] ?? '', /server_name\n {4}ghcr\.io;\n {2}ssl_certificate layover\.pem;/);
  t.regex(servers[1] ?? '', /gateway\.lan;\n {2}ssl_certificate "\/srv\/my certs\/chain\.pem";/);
  t.regex(servers[1] ?? '', /ssl_certificate_key \/etc\/ssl\/key\.pem;/);
  t.is(site(config, () => true).match(/^server \{$/gm)?.length, 1);
  const unnameable = await load('certs: { chain: /a$b.pem, key: /k.pem }');
  t.throws(() => site(unnameable, () => true), { message: /cannot name the file \/a\$b\.pem/ });
});

test('registries are called by their aliases in the log, those of a wildcard by their own names', async (t) => {
  const text = site(
    await load(
      'upstreams: { docker.io: { alias: hub }, acr: { hosts: ["*.azurecr.io"] }, eks: { alias: eks, hosts: ["*.dkr.ecr.example.com"] } }',
    ),
  );
  for (const line of [
    'auth.docker.io hub',
    'docker.io hub',
    'ghcr.io ghcr.io',
    '*.azurecr.io $host',
    '*.dkr.ecr.example.com eks',
  ])
    t.true(text.includes(`\n  ${line};\n`), line);
});

test('nginx is told to make room for long names, and only then', async (t) => {
  t.notRegex(site(await load('')), /bucket_size/);
  const long = `${'a'.repeat(50)}.example.com`;
  const text = site(await load(`upstreams: { long: { hosts: [${long}], urls: ["https://${long}"] } }`));
  t.regex(text, /^map_hash_bucket_size 128;\nserver_names_hash_bucket_size 128;$/m);
});

test('it is said when the gateway would not believe the nginx of this machine', async (t) => {
  t.regex(remarkOn(await load('')) ?? '', /^listen\.proxies does not list 127\.0\.0\.1: .*proxies: \[127\.0\.0\.1\]/);
  t.regex(remarkOn(await load('listen: { http: "[fd00::1]:5000" }')) ?? '', /proxies: \["fd00::1"\]/);
  t.is(remarkOn(await load('listen: { proxies: [127.0.0.0/8] }')), undefined);
});

test('files are written anew over our own, and never over those of somebody else', async (t) => {
  const out = await folder(t);
  const config = await load('listen: { proxies: [127.0.0.1] }');
  const paths = ['conf.d/layover.conf', 'snippets/layover-proxy.conf'].map((path) => join(out, path));
  t.is(await renderFront(config, { out }), paths.map((path) => `${path}\n`).join(''));
  await renderFront(config, { out });
  for (const path of paths) t.is((await stat(path)).mode & 0o777, 0o644);
  await writeFile(join(out, 'snippets/layover-proxy.conf'), 'mine');
  await rm(join(out, 'conf.d/layover.conf'));
  await t.throwsAsync(renderFront(config, { out }), { message: /was not made by this command/ });
  t.is(await readFile(join(out, 'snippets/layover-proxy.conf'), 'utf8'), 'mine');
  await t.throwsAsync(stat(join(out, 'conf.d/layover.conf')), { code: 'ENOENT' });
  t.is((await renderFront(config, {})).split(MARK).length, 3);
});

test('our certificate is made for the names that the root covers, and stays while it is good', async (t) => {
  const dir = await folder(t);
  const config = await load(`${ONLY_GHCR}names: [cache.lan, 192.0.2.7, "2001:db8::7"]\n`, dir);
  const out = join(dir, 'layover.pem');
  await t.throwsAsync(writeCertificate(config, { out }), { message: /no root CA .* start the gateway once/ });
  await openRoot(rootOptions(config));
  t.regex(await writeCertificate(config, { out }), /is new: valid until .*nginx -s reload/);
  t.is((await stat(out)).mode & 0o777, 0o600);
  const pem = await readFile(out, 'utf8');
  const names = new X509Certificate(pem).subjectAltName;
  t.is(names, 'IP Address:192.0.2.7, IP Address:2001:DB8:0:0:0:0:0:7, DNS:cache.lan, DNS:ghcr.io');
  t.regex(await writeCertificate(config, { out }), /stays: valid until/);
  t.is(await readFile(out, 'utf8'), pem);

  const more = await load('', dir);
  t.regex(await writeCertificate(more, { out }), /is new/);
  t.regex(new X509Certificate(await readFile(out, 'utf8')).subjectAltName ?? '', /DNS:auth\.docker\.io, /);
  await makeNextRoot(rootOptions(more));
  await activateNextRoot(more.certs.dir);
  t.regex(await writeCertificate(more, { out }), /is new/);
  t.regex(await writeCertificate(more, { out }), /stays/);
  await t.throwsAsync(writeCertificate(more, {}), { message: /expected --out FILE/ });
});

test('a certificate in its last 30 days is replaced, and a file that is none is left alone', async (t) => {
  const dir = await folder(t);
  const config = await load(ONLY_GHCR, dir);
  const root = await openRoot(rootOptions(config));
  const out = join(dir, 'layover.pem');
  const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
  const day = 24 * 60 * 60 * 1000;
  for (const [age, said] of [
    [50, /stays/],
    [62, /is new/],
  ] as const) {
    const old = root.issueLeaf(['gateway.lan', 'ghcr.io'], publicKey, Date.now() - age * day);
    await writeFile(out, old.certificatePem);
    t.regex(await writeCertificate(config, { out }), said, String(age));
  }
  await writeFile(out, 'a key of somebody');
  await t.throwsAsync(writeCertificate(config, { out }), { message: /is there already and no certificate of ours/ });
  t.is(await readFile(out, 'utf8'), 'a key of somebody');
  const { cert, key } = createAuthority().issue(['gateway.lan']);
  await writeFile(out, cert + key);
  await t.throwsAsync(writeCertificate(config, { out }), { message: /no certificate of ours/ });
  t.is(await readFile(out, 'utf8'), cert + key);
});

test('programs are told as JSON what was written', async (t) => {
  const dir = await folder(t);
  const config = await load('listen: { proxies: [127.0.0.1] }', dir);
  await openRoot(rootOptions(config));
  const asJson = async (answer: Promise<string>): Promise<unknown> => JSON.parse(await answer);
  const paths = ['conf.d/layover.conf', 'snippets/layover-proxy.conf'];
  t.deepEqual(await asJson(renderFront(config, { json: true, out: dir })), {
    files: paths.map((path) => join(dir, path)),
  });
  t.deepEqual(Object.keys((await asJson(renderFront(config, { json: true }))) as object), paths);
  const out = join(dir, 'layover.pem');
  t.like(await asJson(writeCertificate(config, { json: true, out })), { file: out, isNew: true });
  const validUntil = new Date(new X509Certificate(await readFile(out)).validTo).toISOString();
  t.deepEqual(await asJson(writeCertificate(config, { json: true, out })), { file: out, isNew: false, validUntil });
});

test('names that a certificate made elsewhere covers are not in ours', async (t) => {
  const dir = await folder(t);
  await mkdir(join(dir, 'mine'));
  const { cert, key } = createAuthority().issue(['gateway.lan']);
  await writeFile(join(dir, 'mine/chain.pem'), cert);
  await writeFile(join(dir, 'mine/key.pem'), key);
  const config = await load(`${ONLY_GHCR}certs: { chain: mine/chain.pem, key: mine/key.pem }\n`, dir);
  await openRoot(rootOptions(config));
  const out = join(dir, 'layover.pem');
  await writeCertificate(config, { out });
  t.is(new X509Certificate(await readFile(out, 'utf8')).subjectAltName, 'DNS:ghcr.io');
  t.regex(await renderFront(config, {}), /gateway\.lan;\n {2}ssl_certificate \S+\/mine\/chain\.pem;/);
});
