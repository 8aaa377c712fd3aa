import { writeFile } from 'node:fs/promises';
import type { ServerResponse } from 'node:http';
import { join } from 'node:path';
import { isPrivateAddress } from '../../../src/upstream/address.ts';
import { type Blob, makeBlob, toBytes } from '../../support/content.ts';
import { blobsOf, makeImage, topOf } from '../../support/image.ts';
import type { FaultCase, Report } from '../case.ts';
import { Firewall } from '../firewall.ts';
import { Internet, type Sighting } from '../internet.ts';
import { NameServer, type Word } from '../name-server.ts';
import { within } from '../oracles.ts';
import { judge, Scene } from '../scene.ts';

const REGISTRY = '9.9.9.1';
const PUBLIC = '9.9.9.3';
const BLACK_HOLE = '9.9.9.66';
const INSIDE = ['10.0.0.1', '169.254.169.254'];
/** Longer than every patience of the gateway with one upstream. */
const LIMIT = 120_000;

/** What a name server says of an upstream's name when it is lost. */
const LOST: Readonly<Record<string, Word>> = {
  'does not exist': 'NXDOMAIN',
  'is broken at its name server': 'SERVFAIL',
  'is not answered for': 'silence',
  'has no address': [],
  'leads into a black hole': [BLACK_HOLE],
};

/** What a name server says of the host that a blob is redirected to, one time after the other. */
const REBOUND: Readonly<Record<string, readonly (readonly string[])[]>> = {
  'a public address': [[PUBLIC]],
  'a private one': [['10.0.0.1']],
  metadata: [['169.254.169.254']],
  'this machine': [['127.0.0.1']],
  'a public and a private one': [[PUBLIC, '10.0.0.1']],
  'first a public one, then a private one': [[PUBLIC], ['10.0.0.1']],
  'one and the other in turn': [[PUBLIC], ['10.0.0.1'], [PUBLIC], ['169.254.169.254']],
};

const image = makeImage({ seed: 'lost', platforms: ['linux/amd64'], layers: [100_000] });
/** What was not pulled in time, by host. */
const uncached = new Map<string, Blob>();

/** Upstreams whose names are not answered for, or lead nowhere, or elsewhere at every look. */
export const lostNames: FaultCase = {
  name: 'lost-names',
  shows:
    'while names of upstreams lead nowhere, what is cached is served; a name that changes its mind leads nowhere private',
  runs: { quick: 1, full: 3 },
  needs: ['namespace', 'ip', 'nft'],
  async play(report) {
    const hosts = Object.keys(LOST).map((_, index) => `r${index}.registry.example`);
    const rebound = Object.keys(REBOUND).map((_, index) => `b${index}.registry.example`);
    await using internet = await Internet.start(
      [...hosts, ...rebound, ...rebound.map(storageOf), '127.0.0.1'],
      [REGISTRY, PUBLIC, BLACK_HOLE, ...INSIDE],
      answer,
    );
    await using firewall = await Firewall.raise();
    await firewall.swallow(BLACK_HOLE);
    let isLost = false;
    await using names = await NameServer.start((name, asked) => wordOf(name, asked, isLost));
    const ca = join(report.dir, 'ca.pem');
    await writeFile(ca, internet.ca);
    const further = Object.fromEntries(
      [...hosts, ...rebound].map((host) => [host, { hosts: [host], urls: [`https://${host}`], ca }]),
    );
    await using scene = await Scene.open(report, { further, config: { dns: { servers: [names.authority] } } });
    for (const { seed } of report.runs()) {
      for (const host of hosts) uncached.set(host, makeBlob(`${host} ${seed}`, 20_000));
      isLost = false;
      for (const host of hosts) {
        const tag = await get(scene, host, 'manifests/latest');
        report.expect(judge(tag, image.digest) === 'right', `${host}: the tag is answered by ${tag.status}`);
        await pullAll(scene, host);
      }
      isLost = true;
      // Forgets every address and every connection.
      await restart(scene);
      await Promise.all(Object.keys(LOST).map((what, index) => endure(scene, report, what, hosts[index] ?? '')));
      isLost = false;
      const back = performance.now();
      for (const host of hosts) {
        const right = await within(
          LIMIT,
          async () => (await get(scene, host, `blobs/${uncached.get(host)?.digest}`)).status === 200,
        );
        report.expect(right, `${host} is found again, but not served`);
      }
      report.time('served again after the names led somewhere', performance.now() - back, 1000);
      for (let turn = 0; turn < 2; turn++) {
        await Promise.all(rebound.map((host, index) => rebind(scene, report, host, index)));
        await restart(scene);
      }
    }
    judgeSightings(report, internet.sightings);
    await scene.measure();
    await scene.verify();
  },
};

function storageOf(host: string): string {
  return host.replace('registry', 'storage');
}

function wordOf(name: string, asked: number, isLost: boolean): Word {
  const [, kind, digits] = /^([rb])(\d+)\./.exec(name) ?? [];
  const index = Number(digits);
  if (kind === 'r') return isLost ? (Object.values(LOST)[index] ?? 'NXDOMAIN') : [REGISTRY];
  if (kind !== 'b') return 'NXDOMAIN';
  const turns = name.endsWith('.storage.example') ? (Object.values(REBOUND)[index] ?? []) : [[REGISTRY]];
  return turns[asked % turns.length] ?? [];
}

/** A registry that everybody may read; that of a rebound name redirects its blobs to storage of the same number. */
function answer({ host, method, url }: Sighting, response: ServerResponse): void {
  const reference = url.split('/').at(-1) ?? '';
  const found = reference === 'latest' ? topOf(image) : image.manifests.find(({ digest }) => digest === reference);
  const late = uncached.get(host);
  const content = reference === late?.digest ? late.content : image.blobs.get(reference);
  if (host.startsWith('b') && url.startsWith('/v2/') && content !== undefined) {
    response.writeHead(307, { location: `https://${storageOf(host)}/${reference}` }).end();
    return;
  }
  const bytes = found?.bytes ?? (content === undefined ? undefined : toBytes(content));
  if (bytes === undefined) return void response.writeHead(url === '/v2/' ? 200 : 404, { 'content-length': 0 }).end();
  const digest = found?.digest ?? reference;
  const headers = {
    'content-type': found?.mediaType ?? 'application/octet-stream',
    'content-length': bytes.length,
    'docker-content-digest': digest,
  };
  response.writeHead(200, headers).end(method === 'HEAD' ? '' : bytes);
}

async function restart(scene: Scene): Promise<void> {
  await scene.gateway.down();
  await scene.gateway.up();
}

function get({ gateway, client }: Scene, host: string, rest: string) {
  const headers = { accept: topOf(image).mediaType };
  return client.request(`${gateway.own}/v2/${host}/library/app/${rest}`, { headers, timeout: LIMIT });
}

/** The image by its digests. */
async function pullAll(scene: Scene, host: string): Promise<number> {
  let pulls = 0;
  for (const digest of [image.digest, ...blobsOf(image)]) {
    const kind = digest === image.digest ? 'manifests' : 'blobs';
    const answer = await get(scene, host, `${kind}/${digest}`);
    scene.report.latency(answer.totalMs);
    scene.report.expect(
      judge(answer, digest) === 'right',
      `${host}: a digest is answered by ${answer.status} and ${answer.length} bytes, ${answer.error?.message}`,
    );
    pulls++;
  }
  return pulls;
}

async function endure(scene: Scene, report: Report, what: string, host: string): Promise<void> {
  const missing = get(scene, host, `blobs/${uncached.get(host)?.digest}`);
  const tag = get(scene, host, 'manifests/latest');
  const wanted = report.isQuick ? 20 : 2000;
  let pulls = 0;
  while (pulls < wanted) pulls += await pullAll(scene, host);
  const [{ status, totalMs }, stale] = [await missing, await tag];
  report.expect(status === 502 || status === 504, `the name ${what}: what is not cached is answered ${status}`);
  report.expect(judge(stale, image.digest) === 'right', `the name ${what}: the tag is answered ${stale.status}`);
  report.time(`the tag, when the name ${what}`, stale.totalMs, 2000);
  report.time(`what is missing is refused, when the name ${what}`, totalMs, 12_000);
}

async function rebind(scene: Scene, report: Report, host: string, index: number): Promise<void> {
  const isHonest =
    Object.values(REBOUND)
      [index]?.flat()
      .every((address) => !isPrivateAddress(address)) === true;
  for (const digest of blobsOf(image)) {
    const answer = await get(scene, host, `blobs/${digest}`);
    const right = judge(answer, digest);
    report.expect(
      right === 'right' || (!isHonest && answer.status >= 400),
      `${host}: answered ${answer.status} and ${answer.length} bytes, ${answer.error?.message}`,
    );
  }
}

function judgeSightings(report: Report, sightings: readonly Sighting[]): void {
  const inside = sightings.filter(({ address }) => isPrivateAddress(address));
  for (const { host, address } of inside.slice(0, 5)) report.violation(`${host} was asked at ${address}`);
  const outside = sightings.filter(({ host, address }) => host.endsWith('.storage.example') && address === PUBLIC);
  report.expect(outside.length > 0, 'no redirect was followed: the harness is blind');
  report.note(`${outside.length} redirects to a public address followed, ${inside.length} to a private one`);
}
