import { readdir } from 'node:fs/promises';
import type { FaultCase, Report } from '../case.ts';
import { clientHello, firstWord } from '../client-hello.ts';
import { type Dialled, send, statusesOf } from '../connection.ts';
import { filesBelow } from '../oracles.ts';
import type { Random } from '../random.ts';
import { RawRegistry } from '../raw-registry.ts';
import { Scene } from '../scene.ts';

const AT_ONCE = 24;
const IDLE = 500;
/** Milliseconds for an answer that has to come. */
const PATIENCE = 60_000;
const isAnswered = (text: string): boolean => statusesOf(text).length > 0;
const DIGEST = `sha256:${'ab'.repeat(32)}`;

/** What no URL for an upstream has in it, whatever its client wrote. */
const ODD_URL = /^\/v2\/(?:[^?]*(?:\.\.|%2e|%2f|%5c|%00|\\|\/\/))|[^\x21-\x7e]/i;

/** Requests, and beginnings of TLS, with bytes changed, lost, doubled and made up. */
export const garbage: FaultCase = {
  name: 'malformed-requests',
  shows:
    'whatever bytes arrive, the process lives, answers cleanly or hangs up, and writes nothing outside of its place',
  runs: { quick: 600, full: 20_000 },
  async play(report) {
    await using scene = await Scene.open(report);
    const canary = scene.blob('canary', 1000);
    await scene.pull(canary);
    const { http, https } = scene.gateway.ports;
    const before = await placesOf(report);
    const waiting: Promise<void>[] = [];
    // One that waits for the rest of its hello is kept for ten seconds: they wait beside each other.
    const handshakes: Promise<void>[] = [];
    for (const { index, seed, random } of report.runs()) {
      if (seed % 5 === 0) handshakes.push(tryHandshake(https, random, report));
      else waiting.push(tryRequest(http, random, report));
      if (handshakes.length > 200) await Promise.all(handshakes.splice(0));
      if (waiting.length === AT_ONCE) await Promise.all(waiting.splice(0));
      if (index % 100 === 0) report.expect((await scene.pull(canary)) === 'right', 'an honest pull in between fails');
    }
    await Promise.all([...waiting, ...handshakes]);
    report.expect((await placesOf(report)) === before, 'directories appeared where none belong');
    const odd = scene.upstream.requests.filter(({ url }) => ODD_URL.test(url));
    for (const { url } of odd.slice(0, 3)) report.violation(`the upstream was asked for ${url}`);
    const strange = (await filesBelow(scene.gateway.data)).filter((path) => /%|\\|\.\.|\0/.test(path));
    report.expect(strange.length === 0, `files of strange names: ${strange.slice(0, 3).join(' ')}`);
    await scene.verify();
  },
};

async function placesOf(report: Report): Promise<string> {
  return (await readdir(report.dir)).sort().join();
}

async function tryHandshake(port: number, random: Random, report: Report): Promise<void> {
  const hello = clientHello(Buffer.from('quay.io'), random.bytes(32));
  const word = await firstWord(port, mutated(hello, random), PATIENCE);
  report.expect(word !== 'silence', 'a broken handshake is kept for a minute');
}

async function tryRequest(port: number, random: Random, report: Report): Promise<void> {
  const path = pathOf(random);
  const fields = random.pick([
    '',
    'Range: bytes=0-1,5-\r\n',
    'Accept: */*\r\n',
    'Authorization: Basic x\r\n',
    '__proto__: x\r\n',
  ]);
  const request = `${random.pick(['GET', 'HEAD', 'POST'])} ${path} HTTP/1.1\r\nHost: gateway.lan\r\n${fields}\r\n`;
  const isWhole = random.next() < 0.5;
  const bytes = isWhole ? Buffer.from(request, 'latin1') : mutated(Buffer.from(request, 'latin1'), random);
  const { text } = await send({ port }, bytes, IDLE);
  const bad = statusesOf(text).filter((status) => status === 500 || status === 502 || status === 504);
  report.expect(bad.length === 0, `${bad} for ${JSON.stringify(bytes.toString('latin1').slice(0, 200))}`);
}

/** Names, tags and digests as nobody should write them; nothing of the kind is at the upstream. */
function pathOf(random: Random): string {
  const odd = [
    '..',
    '%2e%2e',
    '%2f',
    '\\',
    '//',
    '%00',
    '%',
    'A',
    '_',
    'é',
    '.',
    '%c0%af',
    'a'.repeat(300),
    ';',
    '@',
    ':',
  ];
  const name = random.pick(['library/app', 'a', `a/${random.pick(odd)}/b`, random.pick(odd), `${random.pick(odd)}a`]);
  const reference = random.pick([
    'latest',
    DIGEST,
    DIGEST.toUpperCase(),
    'sha512:ab',
    'md5:x',
    random.pick(odd),
    `${DIGEST}0`,
  ]);
  const kind = random.pick(['manifests', 'blobs', 'tags', 'referrers', 'blobs/uploads', '../blobs']);
  const rest = random.pick(['', '?ns=docker.io', '?ns=../x', '?n=-1', '/..', '/../../../../etc/passwd']);
  return `/v2/docker.io/${name}/${kind}/${reference}${rest}`;
}

function mutated(bytes: Buffer, random: Random): Buffer {
  let result = Buffer.from(bytes);
  for (let times = random.int(1, 6); times > 0 && result.length > 0; times--) {
    const at = random.int(0, result.length - 1);
    const end = Math.min(result.length, at + random.int(1, 20));
    const [head, middle, tail] = [result.subarray(0, at), result.subarray(at, end), result.subarray(end)];
    const instead = random.pick([random.bytes(middle.length), Buffer.alloc(0), Buffer.concat([middle, middle])]);
    result = Buffer.concat([head, instead, tail]);
  }
  return result;
}

/** Fields that must go no further than us, whatever they are called. */
const POISON: readonly string[] = [
  'Connection: close, X-Named',
  'X-Named: poison',
  'Keep-Alive: poison',
  'Proxy-Authorization: poison',
  'Proxy-Connection: poison',
  'TE: poison',
  'Trailer: poison',
  'X-Forwarded-For: poison',
  'X-Forwarded-Host: poison',
  'X-Forwarded-Proto: poison',
  'Forwarded: host=poison',
  'X-Real-IP: poison',
  'X-Original-URL: /poison',
  'X-Rewrite-URL: /poison',
  'X-HTTP-Method-Override: DELETE-poison',
  'Cookie: poison',
  '__proto__: poison',
  'constructor: poison',
  'Accept-Encoding: poison',
  'X-Anything: poison',
  'X-Obs-Text: poison\u00e9',
];

/** What a client writes beside its request, on the way of requests that are passed on as they are. */
export const poison: FaultCase = {
  name: 'poisoned-fields',
  shows: 'of a request that is passed on only known fields reach the upstream; too much of them is refused',
  runs: { quick: 40, full: 1000 },
  async play(report) {
    await using registry = await RawRegistry.start(({ socket }) => {
      socket.write('HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\nLocation: /x\r\n\r\n');
    });
    const settings = { urls: [`http://${registry.authority}`], tokenHosts: [], blobHosts: [] };
    await using scene = await Scene.open(report, { further: { 'quay.io': settings } });
    const ca = await scene.gateway.rootCertificate();
    const at = { port: scene.gateway.ports.https, tls: { ca, servername: 'quay.io' } };
    const waiting: Promise<void>[] = [];
    for (const { random } of report.runs()) {
      waiting.push(tryFields(at, random, report));
      if (waiting.length === AT_ONCE) await Promise.all(waiting.splice(0));
    }
    await Promise.all(waiting);
    const seen = registry.requests.filter(({ head }) => head.includes('poison'));
    report.note(`${registry.requests.length} requests reached the upstream`);
    report.expect(registry.requests.length >= report.done, 'nothing reached the upstream: the harness is blind');
    for (const { head } of seen.slice(0, 3)) report.violation(`the upstream was sent ${head}`);
    for (const [what, extra] of [
      ['a field of 64 KiB', `X: ${'y'.repeat(1 << 16)}\r\n`],
      ['twenty credentials', 'Authorization: Basic eA==\r\n'.repeat(20)],
      ['2,500 long fields', 'X-Field-Of-Some-Length: 1\r\n'.repeat(2500)],
    ]) {
      const { text } = await send(at, `GET /v2/ HTTP/1.1\r\nHost: quay.io\r\n${extra}\r\n`, PATIENCE, isAnswered);
      const [status = 0] = statusesOf(text);
      report.expect(status === 431 || (what === 'twenty credentials' && status === 400), `${what}: answered ${status}`);
    }
    for (const oddity of new Set(registry.oddities)) report.violation(`the upstream was sent ${oddity}`);
    registry.hangUp();
    await scene.verify();
  },
};

async function tryFields(at: Dialled, random: Random, report: Report): Promise<void> {
  const fields = POISON.filter(() => random.next() < 0.4);
  const body = random.pick(['Content-Length: 0', 'Transfer-Encoding: chunked']);
  const head = ['POST /v2/library/app/blobs/uploads/ HTTP/1.1', 'Host: quay.io', body, ...fields].join('\r\n');
  const { text } = await send(at, `${head}\r\n\r\n${body.startsWith('T') ? '0\r\n\r\n' : ''}`, PATIENCE, isAnswered);
  const [status] = statusesOf(text);
  report.expect(status === 202, `answered ${status} with ${fields.join(' | ')}`);
}
