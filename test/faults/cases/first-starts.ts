import { once } from 'node:events';
import { chmod, mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { connect, type DetailedPeerCertificate } from 'node:tls';
import type { FaultCase, Report, Run } from '../case.ts';
import { Gateway } from '../gateway.ts';
import { execute, missing } from '../namespace.ts';

const PROCESSES = 8;
const NAME = 'gateway.lan';
/** Go's own reading of a certificate, as docker, containerd and podman have it. */
const VERIFIER = join(import.meta.dirname, '../../tls/verify/main.go');
const ROOT: readonly RegExp[] = [
  /Version: 3/,
  /Signature Algorithm: ecdsa-with-SHA256/,
  /ASN1 OID: prime256v1/,
  /Basic Constraints: critical\s+CA:TRUE, pathlen:0\n/,
  /Key Usage: critical\s+Certificate Sign, CRL Sign\n/,
  /Name Constraints: critical\s+Permitted:\s+DNS:/,
  /Excluded:\s+IP:/,
];
const LEAF: readonly RegExp[] = [
  /Version: 3/,
  /Key Usage: critical\s+Digital Signature\n/,
  /Extended Key Usage: \s+TLS Web Server Authentication\n/,
  /Subject Alternative Name: (?:critical)?\s+DNS:/,
  /Authority Key Identifier: /,
];

/** Eight processes that start for the first time at once, and the root that they make. */
export const firstStarts: FaultCase = {
  name: 'first-starts',
  shows:
    'eight processes that start for the first time at once make one root, whose key is closed and vouches for no stranger',
  runs: { quick: 1, full: 100 },
  needs: ['openssl'],
  async play(report) {
    const go = await goVerifier(report);
    for (const run of report.runs()) await startTogether(report, run, go);
  },
};

async function startTogether(report: Report, { seed, index }: Run, go: string | undefined): Promise<void> {
  const dir = await report.folder(`${seed}`);
  const certs = join(dir, 'certs');
  // A directory that is there and open to others is closed.
  if (seed % 2 === 0) await mkdir(certs, { mode: 0o755 });
  const options = { data: join(dir, 'data'), upstreams: {}, config: { certs: { dir: certs } } };
  const started = performance.now();
  const starts = Array.from({ length: PROCESSES }, (_, number) =>
    Gateway.start(report, { ...options, dir: join(dir, `${number}`) }),
  );
  const gateways = await Promise.all(starts);
  report.latency(performance.now() - started);
  const root = await readFile(join(certs, 'ca.crt'), 'utf8');
  const leaves = await Promise.all(gateways.map(({ ports }) => leafOf(ports.https, root)));
  await Promise.all(gateways.map((gateway) => gateway.down()));
  const unforeseen = gateways.filter(({ log }) => /uncaught|unhandled/i.test(log));
  report.expect(unforeseen.length === 0, `an error nobody caught: ${unforeseen[0]?.log.slice(-500)}`);
  const files = (await readdir(certs)).sort().join();
  report.expect(files === 'ca.crt,ca.key', `the directory holds ${files}`);
  for (const [name, mode] of Object.entries({ '.': 0o700, 'ca.key': 0o600 })) {
    const found = (await stat(join(certs, name))).mode & 0o777;
    report.expect(found === mode, `${name} has the mode ${found.toString(8)}`);
  }
  for (const leaf of new Set(leaves)) await lint(report, dir, certs, leaf);
  await refuseStrangers(report, dir, certs, go);
  if (index === 0) await refuseOpenKey(report, certs, { ...options, dir: join(dir, 'open') });
}

/** The certificate that a server shows; throws when it is not of this root. */
async function leafOf(port: number, ca: string): Promise<string> {
  const socket = connect({ host: '127.0.0.1', port, ca, servername: NAME });
  await once(socket, 'secureConnect');
  const { raw }: DetailedPeerCertificate = socket.getPeerCertificate(true);
  socket.destroy();
  return pem(raw);
}

function pem(raw: Buffer): string {
  const lines = raw.toString('base64').match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`;
}

async function lint(report: Report, dir: string, certs: string, leaf: string): Promise<void> {
  const [root, file] = [join(certs, 'ca.crt'), join(dir, 'leaf.pem')];
  await writeFile(file, leaf);
  for (const [path, fields] of [
    [root, ROOT],
    [file, LEAF],
  ] as const) {
    const { stdout } = await execute('openssl', ['x509', '-in', path, '-noout', '-text', '-checkend', '86400']);
    for (const field of fields) report.expect(field.test(stdout), `${path} has no ${field}`);
  }
  const said = await verify(root, file, NAME);
  report.expect(said === 'ok', `openssl says of a leaf: ${said}`);
}

/** What a thief of the key signs for a name that the root does not vouch for is refused; for one that it does it is not. */
async function refuseStrangers(report: Report, dir: string, certs: string, go: string | undefined): Promise<void> {
  const root = join(certs, 'ca.crt');
  const questions: string[] = [];
  for (const [name, isInside] of [
    [NAME, true],
    ['evil.example', false],
    [`${NAME}.evil.example`, false],
  ] as const) {
    const file = await sign(dir, certs, name);
    const said = await verify(root, file, name);
    const isRefused = /permitted subtree violation|excluded subtree violation/.test(said);
    report.expect(isInside ? said === 'ok' : isRefused, `openssl says of ${name}: ${said}`);
    questions.push(`verify ${file} ${name}`);
  }
  if (go === undefined) return;
  const answering = execute(go, [root]);
  answering.child.stdin?.end(`${questions.join('\n')}\n`);
  const [inside = '', ...outside] = (await answering).stdout.trim().split('\n');
  report.expect(inside === 'ok', `Go says of ${NAME}: ${inside}`);
  for (const said of outside)
    report.expect(/not permitted by any constraint/.test(said), `Go says of a stranger: ${said}`);
}

/** A certificate for any name, by the stolen key. */
async function sign(dir: string, certs: string, name: string): Promise<string> {
  const at = (end: string): string => join(dir, `${name}.${end}`);
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256'];
  const request = ['req', ...curve, '-nodes', '-keyout', at('key'), '-subj', '/', '-out', at('csr')];
  await execute('openssl', request);
  await writeFile(at('ext'), `subjectAltName=critical,DNS:${name}\nextendedKeyUsage=serverAuth\n`);
  const by = ['-CA', join(certs, 'ca.crt'), '-CAkey', join(certs, 'ca.key'), '-set_serial', '7', '-days', '30'];
  await execute('openssl', ['x509', '-req', '-in', at('csr'), ...by, '-extfile', at('ext'), '-out', at('crt')]);
  return at('crt');
}

async function verify(root: string, file: string, name: string): Promise<string> {
  const options = ['-purpose', 'sslserver', '-verify_hostname', name, '-CAfile', root];
  return execute('openssl', ['verify', ...options, file]).then(
    () => 'ok',
    (error: Error & { stderr?: string }) => error.stderr ?? error.message,
  );
}

/** A key that others may read keeps the gateway from starting. */
async function refuseOpenKey(report: Report, certs: string, options: Parameters<typeof Gateway.start>[1]) {
  await chmod(join(certs, 'ca.key'), 0o640);
  const said = await Gateway.start(report, options).then(
    async (gateway) => {
      await gateway.down();
      return 'it starts';
    },
    (error: Error) => error.message,
  );
  report.expect(/chmod 600/.test(said), `with a key that others may read: ${said.slice(0, 300)}`);
}

/** The program that asks Go; `undefined`, and a note, on a machine without Go. */
async function goVerifier(report: Report): Promise<string | undefined> {
  const path = `${process.env.PATH ?? ''}:/usr/local/go/bin`;
  if ((await missing(['go'], path)).length > 0) {
    report.note('Go clients are not asked: there is no go on this machine');
    return undefined;
  }
  const binary = join(report.dir, 'verify');
  const env = { ...process.env, PATH: path, GOTOOLCHAIN: 'local', CGO_ENABLED: '0' };
  // As the tests of certificates build it, so that Go finds it in its cache.
  await execute('go', ['build', '-gcflags=all=-N -l', '-o', binary, VERIFIER], { env });
  return binary;
}
