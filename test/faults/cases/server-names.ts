import type { FaultCase, Report } from '../case.ts';
import { clientHello, firstWord } from '../client-hello.ts';
import { send, statusesOf } from '../connection.ts';
import type { Random } from '../random.ts';
import { Scene } from '../scene.ts';

const HUB = 'registry-1.docker.io';
/** What a TLS client may call the server, `''` for nothing. */
const NAMES: readonly string[] = [
  '',
  HUB,
  HUB.toUpperCase(),
  `${HUB}.`,
  'quay.io',
  'gateway.lan',
  'localhost',
  'registry-1.docker.io.evil.example',
];
/** What the same client may write into Host; several lines are several fields. */
const HOSTS: readonly string[] = [
  `Host: ${HUB}`,
  `Host: ${HUB.toUpperCase()}`,
  `Host: ${HUB}.`,
  `Host: ${HUB}:443`,
  'Host: quay.io',
  'Host: gateway.lan',
  'Host: 127.0.0.1',
  'Host: registry-1.docker.io.evil.example',
  `Host: ${HUB}\r\nHost: quay.io`,
  `Host: ${HUB}\r\nHost: ${HUB}`,
  'X-Forwarded-Host: quay.io',
  'Host:',
  'Host: registry-1\u3002docker\u3002io',
  `Host: ${HUB}\x00`,
  `Host: ${'a.'.repeat(200)}docker.io`,
  `Host: quay.io@${HUB}`,
];
const PRESENTED: readonly string[] = [HUB, 'quay.io'];
const OWN: readonly string[] = ['gateway.lan', 'localhost', '127.0.0.1'];
/** Bytes; a few kilobytes kept of each of a hundred thousand handshakes would be more, and noise is far less. */
const FLAT = 400 << 20;

/** Server names and Host fields in all combinations, and server names that nobody ever gave to anything. */
export const serverNames: FaultCase = {
  name: 'server-names',
  shows: 'a request goes nowhere unless its Host is the server name of its handshake; unknown names get no certificate',
  runs: { quick: 1500, full: 200_000 },
  async play(report) {
    await using scene = await Scene.open(report);
    await tryPairs(scene, report);
    const { https } = scene.gateway.ports;
    let unknown = 0;
    let measured = scene.gateway.usage();
    for (const { index, random } of report.runs()) {
      if (index === 500) measured = scene.gateway.usage();
      const name = strangeName(random);
      const word = await firstWord(https, clientHello(name, random.bytes(32)), 60_000);
      report.expect(word === 'refused', `${word} for the name ${JSON.stringify(name.toString('latin1'))}`);
      unknown++;
    }
    const grown = scene.gateway.usage().memory - measured.memory;
    report.note(`${unknown} unknown names; memory from the 500th on: ${grown >> 20} MiB (goal 20)`);
    report.expect(grown < FLAT, `memory grew by ${grown >> 20} MiB`);
    const known = await firstWord(https, clientHello(Buffer.from(HUB), Buffer.alloc(32, 1)), 60_000);
    report.expect(known === 'hello', `a known name gets ${known}: the harness is blind`);
    await scene.verify();
  },
};

async function tryPairs(scene: Scene, report: Report): Promise<void> {
  const ca = await scene.gateway.rootCertificate();
  const { https } = scene.gateway.ports;
  let [answered, refused] = [0, 0];
  for (const servername of NAMES) {
    for (const host of HOSTS) {
      for (const form of ['origin', 'absolute'] as const) {
        const path = `/v2/library/pair-${answered + refused}/tags/list`;
        const target = form === 'origin' ? path : `https://quay.io${path}`;
        const request = `GET ${target} HTTP/1.1\r\n${host}\r\nConnection: close\r\n\r\n`;
        const tls = { ca, servername, checkServerIdentity: () => undefined };
        const { text } = await send({ port: https, tls }, Buffer.from(request, 'utf8'), 60_000);
        const [status] = statusesOf(text);
        const what = `${form} with ${servername || 'no name'} and ${JSON.stringify(host.slice(0, 60))}`;
        if (status === undefined || status === 400 || status === 421) {
          refused++;
          const isAsked = scene.upstream.requests.some(({ url }) => url.includes(path));
          report.expect(!isAsked, `${what}: refused, and the upstream was asked`);
        } else answered++;
        report.expect(status === undefined || mayAnswer(servername, host, form) || status >= 400, `${what}: ${status}`);
        if (mayAnswer(servername, host, form)) report.expect(status !== 421 && status !== 400, `${what}: ${status}`);
      }
    }
  }
  report.note(`${answered + refused} pairs of names: ${answered} agree, ${refused} refused`);
}

/** Whether Host agrees with the server name: case, a final dot and the port are no difference. */
function mayAnswer(servername: string, line: string, form: 'origin' | 'absolute'): boolean {
  if (form === 'absolute' || !/^Host: [\x21-\x7e]+$/.test(line)) return false;
  const [host, name] = [line.slice('Host: '.length).replace(/:443$/, ''), servername].map((text) =>
    text.toLowerCase().replace(/\.$/, ''),
  );
  if (host === undefined || name === undefined) return false;
  if (name === '') return OWN.includes(host);
  return host === name && [...PRESENTED, ...OWN].includes(name);
}

/** Names near those that are known, random ones, and bytes that are no names. */
function strangeName(random: Random): Buffer {
  const known = random.pick([HUB, 'quay.io', 'gateway.lan']);
  const word = random.bytes(random.int(1, 12)).toString('hex');
  return random.pick([
    () => Buffer.from(`${word}.example`),
    () => Buffer.from(`${word}.${known}`),
    () => Buffer.from(`${known}.${word}`),
    () => Buffer.from(`${known}\0.${word}`),
    () => Buffer.from(`${known}\0`),
    () => Buffer.from(` ${known}`),
    () => Buffer.from(known.replaceAll('.', '\u3002')),
    () => Buffer.from(`*.${known}`),
    () => Buffer.from(`${'a'.repeat(random.int(200, 400))}.${known}`),
    () => Buffer.from(`..${known}`),
    () => Buffer.from('__proto__'),
    () => Buffer.from('constructor'),
    () => Buffer.from('192.0.2.7'),
    () => random.bytes(random.int(1, 300)),
  ])();
}
