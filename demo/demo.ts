import { rmSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { GatewayProcess } from '../test/support/gateway-process.ts';
import { type From, pullAtOnce, type Seen } from './pull.ts';
import { DISTANCE, PLATFORMS, REPOSITORY, type Tally, Upstream } from './stage.ts';
import { megabytes, seconds, table } from './table.ts';

/** Shows what Layover does, on this machine alone: a registry, the gateway in front of it, and clients that pull. */
const NEIGHBOURS = 4;
const [AMD64 = '', ARM64 = ''] = PLATFORMS;

const CONCLUSION = `Every digest was right, and Layover fetched every byte of a blob once. What a warm pull still asks of the upstream is
the client's own token and whether the tag has moved; with the upstream off, Layover answers for both.`;

interface Step {
  readonly name: string;
  readonly from: From;
  readonly platform: string;
  readonly clients?: number;
  /** What is to be true of it, by the sentence that says so. */
  readonly expect: (tally: Tally, seen: Seen) => Readonly<Record<string, boolean>>;
}

const dir = await mkdtemp(join(tmpdir(), 'layover-demo-'));
process.once('exit', () => rmSync(dir, { recursive: true, force: true }));
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));

using upstream = await Upstream.start();
await using gateway = await GatewayProcess.start(dir, { 'docker.io': upstream.stage });
process.once('exit', () => void gateway.down('SIGKILL'));

const { stage } = upstream;
const sizes = Object.values(stage.platforms);
const total = sizes.reduce((sum, { bytes }) => sum + bytes, 0);
console.log(`
A stand-in for Docker Hub runs on this machine: registry, token server and CDN, all over TLS. Every answer
takes ${DISTANCE.latency} ms, every connection to the CDN carries ${megabytes(DISTANCE.bytesPerSecond)}/s. It holds ${REPOSITORY}:latest for
${PLATFORMS.join(' and ')}: ${sizes.reduce((sum, { blobs }) => sum + blobs, 0)} blobs, ${megabytes(total)} of random bytes.
Layover stands in front of it (ready after ${gateway.greeting.readyAfter} ms). The client asks as docker does,
for https://registry-1.docker.io, and verifies every digest.
`);

const rows = [['', 'time', 'first byte', 'from upstream', 'requests there', 'Layover said']];
const mistakes: string[] = [];
const straight = { registry: stage.url, client: { ca: stage.ca } };

await run({ name: 'straight from the upstream', from: straight, platform: AMD64, expect: () => ({}) });
await run({ name: 'cold: Layover has nothing', from: await through(), platform: AMD64, expect: fetchedOnce(AMD64) });
await run({
  name: 'warm: the same again',
  from: await through(),
  platform: AMD64,
  expect: ({ questions, blobBytes }) => ({
    'no blob is fetched again': blobBytes === 0,
    'one question is asked at most': questions <= 1,
  }),
});
await run({
  name: `${NEIGHBOURS} clients at once, ${ARM64}`,
  from: await through(),
  platform: ARM64,
  clients: NEIGHBOURS,
  expect: fetchedOnce(ARM64),
});
console.log('  Layover is restarted, and the upstream is switched off');
await gateway.down();
await upstream.cutOff();
await gateway.up();
for (const platform of PLATFORMS) {
  await run({
    name: `upstream off: ${platform}`,
    from: await through(),
    platform,
    expect: ({ requests }, { outcomes }) => ({
      'nothing reaches the upstream': requests === 0,
      'everything is a hit': [...outcomes.keys()].every((word) => word.endsWith('hit')),
    }),
  });
}

console.log(`\n${table(rows)}\n`);
for (const mistake of mistakes) console.error(`NOT AS IT SHOULD BE: ${mistake}`);
if (mistakes.length > 0) process.exitCode = 1;
else console.log(CONCLUSION);

async function through(): Promise<From> {
  const connectTo = { 'registry-1.docker.io:443': { address: '127.0.0.1', port: gateway.httpsPort } };
  return { registry: 'https://registry-1.docker.io', client: { ca: await gateway.rootCertificate(), connectTo } };
}

function fetchedOnce(platform: string): Step['expect'] {
  const size = stage.platforms[platform];
  return ({ blobs, blobBytes }) => ({
    'every blob is fetched once': blobs === size?.blobs,
    'every byte of a blob is fetched once': blobBytes === size?.bytes,
  });
}

async function run({ name, from, platform, clients, expect }: Step): Promise<void> {
  await upstream.tally();
  const seen = await pullAtOnce(from, platform, clients);
  const tally = await upstream.tally();
  const said = [...seen.outcomes].map(([word, count]) => `${count} ${word}`).join(', ');
  const time = seconds(seen.time);
  rows.push([name, time, seconds(seen.firstByte), megabytes(tally.bytes), String(tally.requests), said || '-']);
  console.log(`  ${name}: ${time}, ${megabytes(tally.bytes)} from the upstream`);
  const expected = {
    'the client gets the image that was made': seen.digests.every((digest) => digest === stage.digest),
    ...expect(tally, seen),
  };
  for (const [sentence, isTrue] of Object.entries(expected)) if (!isTrue) mistakes.push(`${name}: ${sentence}`);
}
