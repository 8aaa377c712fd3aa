import { createHash } from 'node:crypto';
import type { Blob } from '../support/content.ts';
import type { Random } from './random.ts';
import type { Outcome, Scene } from './scene.ts';

const MOST_PARTS = 4;

/** Pulls a blob in ranges one after the other and puts it together; wrong wholes are violations. */
export async function pullInParts(scene: Scene, { digest, content }: Blob, random: Random): Promise<Outcome> {
  const { size } = content;
  const cuts = Array.from({ length: random.int(1, MOST_PARTS) }, () => random.int(0, size - 1));
  const starts = [...new Set([0, ...cuts])].sort((one, other) => one - other);
  const hash = createHash('sha256');
  for (const [index, start] of starts.entries()) {
    const end = starts[index + 1] ?? size;
    const headers = { range: `bytes=${start}-${end - 1}` };
    const url = `${scene.gateway.own}/v2/docker.io/library/app/blobs/${digest}`;
    const answer = await scene.client.request(url, { headers }).catch(() => undefined);
    if (answer === undefined) return 'unreachable';
    if (answer.status !== 206) return { refused: answer.status };
    if (!answer.complete) return 'broken';
    const told = `bytes ${start}-${end - 1}/${size}`;
    if (answer.length !== end - start || answer.headers['content-range'] !== told) {
      scene.report.violation(
        `${answer.length} bytes that are said to be ${answer.headers['content-range']} for ${told}`,
      );
    }
    hash.update(answer.body);
  }
  if (`sha256:${hash.digest('hex')}` === digest) return 'right';
  scene.report.violation(`what was put together of ${starts.length} complete ranges is not ${digest}`);
  return 'broken';
}
