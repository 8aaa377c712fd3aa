import { gzipSync } from 'node:zlib';
import { digestOf, fromBytes } from '../../support/content.ts';
import { makeImage, topOf } from '../../support/image.ts';
import type { FaultCase } from '../case.ts';
import { publishedIn } from '../oracles.ts';
import { judge, Scene } from '../scene.ts';

const ENCODINGS = ['gzip', 'br', 'zstd', 'deflate', 'x-foo', 'gzip, gzip', 'identity, gzip', 'GZIP'];
const BOMB = 1 << 30;

/** Answers that are said to be compressed, among them a gigabyte in a megabyte. */
export const encodings: FaultCase = {
  name: 'encoded-answers',
  shows: 'an answer that says it is compressed is refused or passed on as it is, and never unpacked',
  runs: { quick: 8, full: 40 },
  async play(report) {
    await using scene = await Scene.open(report);
    const zeros = Buffer.alloc(BOMB / 64);
    const bomb = fromBytes(Buffer.concat(Array.from({ length: 64 }, () => gzipSync(zeros))));
    const before = scene.gateway.usage().memory;
    for (const { seed } of report.runs()) {
      const encoding = ENCODINGS[seed % ENCODINGS.length] ?? 'gzip';
      const effect = { headers: { 'content-encoding': encoding } };
      const content = fromBytes(Buffer.concat([bomb.read(0, bomb.size), Buffer.from(`${seed}`)]));
      const blob = { digest: digestOf(content), content };
      scene.upstream.addBlob('library/app', blob);
      const image = makeImage({ seed: `${seed}`, platforms: ['linux/amd64'], layers: [100] });
      scene.upstream.add(`library/encoded-${seed}`, image);
      scene.upstream.fault({ kind: 'blob' }, effect);
      scene.upstream.fault({ kind: 'manifest' }, effect);
      const pulled = await scene.pull(blob);
      const url = `${scene.gateway.own}/v2/docker.io/library/encoded-${seed}/manifests/latest`;
      const manifest = await scene.client.request(url, { headers: { accept: topOf(image).mediaType } });
      const judged = judge(manifest, image.digest);
      report.expect(judged !== 'wrong', `a manifest in ${encoding} is a complete wrong answer`);
      const stored = (await publishedIn(scene.gateway.data)).map(({ digest }) => digest);
      report.expect(pulled === 'right' || !stored.includes(blob.digest), `a blob in ${encoding} is stored`);
      scene.upstream.clearFaults();
      scene.upstream.fault({ kind: 'token' }, effect);
      scene.upstream.expireTokens();
      const other = scene.blob(`token ${seed}`, 100);
      const withToken = await scene.pull(other);
      report.expect(
        withToken === 'right' || typeof withToken === 'object',
        `with a token in ${encoding}: ${withToken}`,
      );
      scene.upstream.clearFaults();
      report.expect((await scene.pull(blob)) === 'right', `after ${encoding} the blob is not right`);
    }
    const grown = scene.gateway.usage().memory - before;
    report.note(`a bomb of ${BOMB >> 30} GiB in ${bomb.size >> 10} KiB: memory +${grown >> 20} MiB (goal 50)`);
    // Half of what one of the bombs would be.
    report.expect(grown < BOMB / 2, `memory grew by ${grown >> 20} MiB`);
    await scene.verify();
  },
};
