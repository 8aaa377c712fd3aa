import { setTimeout as sleep } from 'node:timers/promises';
import { blobsOf, type Image, makeImage, topOf } from '../../support/image.ts';
import type { FaultCase, Report } from '../case.ts';
import { allocatedBelow, publishedIn, within, wrongOf } from '../oracles.ts';
import { judge, Scene } from '../scene.ts';

const SIZE = 40 << 20;
const LARGEST = 3 << 20;
const BLOBS = 60;
const CLIENTS = 6;
/** Milliseconds. */
const LATEST_KILL = 2500;
const PATIENCE = 60_000;

/** A cache that is too small for what is pulled through it, by two processes that are killed in the midst of it. */
export const eviction: FaultCase = {
  name: 'eviction-under-kills',
  shows: 'a cache that is always too small stays within its size and keeps what is to be kept, whoever is killed',
  runs: { quick: 3, full: 40 },
  async play(report) {
    const storage = { size: `${SIZE >> 20}m`, reserve: 0, keep: ['docker.io/library/kept'] };
    await using scene = await Scene.open(report, { processes: 2, storage });
    const kept = makeImage({ seed: 'kept', platforms: ['linux/amd64'], layers: [2 << 20] });
    scene.upstream.add('library/kept', kept);
    await pullImage(scene, kept);
    let most = 0;
    for (const { seed, random } of report.runs()) {
      const blobs = Array.from({ length: BLOBS }, (_, index) =>
        scene.blob(`${seed % 3} ${index}`, random.size(64 << 10, LARGEST)),
      );
      let over = false;
      const clients = Array.from({ length: CLIENTS }, async () => {
        while (!over) await scene.pull(random.pick(blobs), {}, random.pick(scene.gateways));
      });
      const watch = setInterval(() => {
        allocatedBelow(scene.gateway.data).then((bytes) => {
          most = Math.max(most, bytes);
        });
      }, 200);
      await within(PATIENCE, () => most > SIZE / 2);
      await sleep(random.int(500, LATEST_KILL));
      const victims = random.pick([scene.gateways, scene.gateways.slice(0, 1), scene.gateways.slice(1)]);
      await Promise.all(victims.map((gateway) => gateway.down('SIGKILL')));
      over = true;
      await Promise.all(clients);
      clearInterval(watch);
      await Promise.all(victims.map((gateway) => gateway.up()));
      for (const wrong of await wrongOf(await publishedIn(scene.gateway.data))) report.violation(wrong);
      for (const blob of blobs.slice(0, 5)) {
        report.expect((await scene.pull(blob)) === 'right', `after the kill ${blob.digest} is not right`);
      }
    }
    report.note(`at most ${(most / 2 ** 20).toFixed(1)} MiB were on disk, with a size of ${SIZE >> 20} MiB`);
    report.expect(most <= SIZE + LARGEST, `${most} bytes were on disk, with a size of ${SIZE}`);
    report.expect(most > SIZE / 2, `${most} bytes were on disk at most: nothing had to be evicted`);
    await expectKept(scene, report, kept);
    await scene.measure();
    await scene.verify();
  },
};

async function pullImage(scene: Scene, image: Image): Promise<void> {
  const base = `${scene.gateway.own}/v2/docker.io/library/kept`;
  for (const digest of [image.digest, ...blobsOf(image)]) {
    const kind = digest === image.digest ? 'manifests' : 'blobs';
    const headers = { accept: topOf(image).mediaType };
    const answer = await scene.client.request(`${base}/${kind}/${digest}`, { headers });
    scene.report.expect(judge(answer, digest) === 'right', `${kind} of the kept image: ${answer.status}`);
  }
}

async function expectKept(scene: Scene, report: Report, image: Image): Promise<void> {
  const there = (await publishedIn(scene.gateway.data)).map(({ digest }) => digest);
  const gone = [image.digest, ...blobsOf(image)].filter((digest) => !there.includes(digest));
  report.expect(gone.length === 0, `${gone.length} parts of an image in storage.keep were evicted`);
}
