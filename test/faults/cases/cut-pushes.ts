import { digestOf, pushManifest, type Sent, send } from '../../hosted/stage.ts';
import type { FaultCase, Report, Run } from '../case.ts';
import { Disk } from '../disk.ts';
import { within } from '../oracles.ts';
import { failPower, LYING_DISK, untilCut } from '../power.ts';
import type { Random } from '../random.ts';
import { Scene } from '../scene.ts';

const CLIENTS = 4;
const REPOSITORY = 'team/app';
const CONFIG = { mediaType: 'application/vnd.oci.empty.v1+json', digest: digestOf('{}'), size: 2 };

/** What the clients were told, and what they were in the midst of. */
interface Told {
  /** By path below the repository: the digest of what was acknowledged there. */
  readonly kept: Map<string, string>;
  /** By location: all bytes, and up to where they were acknowledged. */
  readonly open: Map<string, { readonly bytes: Buffer; acknowledged: number }>;
  isOver: boolean;
}

function cutPushes(kind: 'ext4' | 'xfs'): FaultCase {
  return {
    name: `power-cut-push-${kind}`,
    shows: `the power fails during pushes on ${kind}: what was acknowledged is there, and uploads go on from where they say`,
    runs: { quick: 2, full: 50 },
    needs: ['namespace', 'xfs_io', `mkfs.${kind}`],
    async play(report) {
      const sums = { kept: 0, lost: 0, resumed: 0, forgotten: 0 };
      for (const run of report.runs()) {
        const found = await cut(report, run, kind, []);
        report.expect(found.lost === 0, `${found.lost} of ${found.kept} acknowledged pushes are lost`);
        for (const key of ['kept', 'lost', 'resumed', 'forgotten'] as const) sums[key] += found[key];
      }
      report.note(
        `${sums.kept} acknowledged, ${sums.lost} lost; ${sums.resumed} uploads went on, ${sums.forgotten} began anew`,
      );
    },
  };
}

export const powerCutPushes: readonly FaultCase[] = [
  cutPushes('ext4'),
  cutPushes('xfs'),
  {
    name: 'power-cut-push-control',
    shows: 'the same on a disk that ignores fsync does lose pushes: the two cases above can fail',
    runs: { quick: 1, full: 4 },
    needs: ['namespace', 'xfs_io', 'mkfs.ext4', 'strace'],
    async play(report) {
      for (const run of report.runs()) {
        const { kept, lost } = await cut(report, run, 'ext4', LYING_DISK);
        report.note(`${lost} lost of ${kept}`);
        report.expect(lost > 0, `nothing is lost without fsync, of ${kept}: the harness is blind`);
      }
    },
  },
];

async function cut(report: Report, run: Run, kind: 'ext4' | 'xfs', wrapper: readonly string[]) {
  const { random, seed } = run;
  await using disk = await Disk.make(await report.folder(`${seed}`), kind);
  await using scene = await Scene.open(report, {
    data: `${disk.path}/data`,
    storage: { reserve: 0 },
    wrapper,
    config: { hosted: { repositories: ['team/**'], push: 'anyone' } },
  });
  const told: Told = { kept: new Map(), open: new Map(), isOver: false };
  const clients = Array.from({ length: CLIENTS }, (_, client) => pushOn(scene, random, told, `${seed}-${client}`));
  await untilCut(random);
  // With one of each at least, the cut has something to lose.
  await within(60_000, async () => [...told.kept.keys()].some((path) => path.startsWith('manifests/')));
  const stop = (): void => {
    told.isOver = true;
  };
  await failPower(disk, scene, stop, clients);
  await scene.gateway.up();
  let lost = 0;
  for (const [path, digest] of told.kept) {
    const { status, body } = await send(scene.gateway.own, 'GET', `/v2/${REPOSITORY}/${path}`);
    if (status === 200 && digestOf(body) !== digest) report.violation(`${path} is served with other bytes`);
    if (status !== 200) lost += 1;
  }
  const { resumed, forgotten } = await goOn(report, scene, told, wrapper.length === 0);
  return { kept: told.kept.size, lost, resumed, forgotten };
}

/** Pushes one image after the other, and leaves uploads open in between. */
async function pushOn(scene: Scene, random: Random, told: Told, name: string): Promise<void> {
  const { own } = scene.gateway;
  // Whoever is not answered was told nothing.
  const ask = (...asked: Parameters<typeof send>): Promise<Sent | undefined> => send(...asked).catch(() => undefined);
  const uploads = `/v2/${REPOSITORY}/blobs/uploads/`;
  for (let turn = 0; !told.isOver; turn += 1) {
    const bytes = Buffer.alloc(random.size(1 << 10, 1 << 20), `${name} ${turn} `);
    const digest = digestOf(bytes);
    for (const blob of [bytes, Buffer.from('{}')]) {
      const sent = await ask(own, 'POST', `${uploads}?digest=${digestOf(blob)}`, { body: blob });
      if (sent?.status === 201) told.kept.set(`blobs/${digestOf(blob)}`, digestOf(blob));
    }
    const layers = [{ mediaType: 'application/octet-stream', digest, size: bytes.length }];
    const mediaType = 'application/vnd.oci.image.manifest.v1+json';
    const manifest = JSON.stringify({ schemaVersion: 2, mediaType, config: CONFIG, layers });
    const pushed = await pushManifest(own, REPOSITORY, `t-${name}-${turn}`, manifest).catch(() => undefined);
    if (pushed?.status === 201) told.kept.set(`manifests/t-${name}-${turn}`, digestOf(manifest));
    const location = (await ask(own, 'POST', uploads))?.headers.location;
    if (location === undefined) continue;
    const part = { bytes, acknowledged: 0 };
    told.open.set(location, part);
    const half = bytes.subarray(0, bytes.length / 2);
    if ((await ask(own, 'PATCH', location, { body: half }))?.status === 202) part.acknowledged = half.length;
  }
}

/** An upload is unknown, or has all that was acknowledged and no byte too many, and can be ended. */
async function goOn(report: Report, scene: Scene, told: Told, isHonest: boolean) {
  const { own } = scene.gateway;
  let [resumed, forgotten] = [0, 0];
  for (const [location, { bytes, acknowledged }] of told.open) {
    const { status, headers } = await send(own, 'GET', location);
    if (status === 404) {
      forgotten += 1;
      continue;
    }
    const end = /^0-(\d+)$/.exec(headers.range ?? '')?.[1];
    const at = end === undefined || end === '0' ? 0 : Number(end) + 1;
    if (isHonest) report.expect(at >= acknowledged, `an upload has ${at} bytes, ${acknowledged} were acknowledged`);
    report.expect(at <= bytes.length, `an upload has ${at} bytes of ${bytes.length}`);
    const put = await send(own, 'PUT', `${location}?digest=${digestOf(bytes)}`, { body: bytes.subarray(at) });
    if (isHonest) report.expect(put.status === 201, `an upload that went on at ${at} ends with ${put.status}`);
    resumed += 1;
  }
  return { resumed, forgotten };
}
