import { fromBytes, toBytes } from '../test/support/content.ts';
import { blobsOf, makeImage } from '../test/support/image.ts';
import { startUpstream } from '../test/support/upstream/upstream.ts';
import { DISTANCE, LAYERS, type Order, PLATFORMS, REPOSITORY, type Stage, type Tally } from './stage.ts';

/** The process of the demo's registry: makes the image, serves it, and says what was asked of it. */
const image = makeImage({ platforms: PLATFORMS, layers: LAYERS });
const blobs = new Map([...image.blobs].map(([digest, content]) => [digest, fromBytes(toBytes(content))]));
const upstream = await startUpstream({ profile: 'hub' });
upstream.add(REPOSITORY, { ...image, blobs });
upstream.fault({}, { delay: DISTANCE.latency });
upstream.fault({ role: 'cdn' }, { bytesPerSecond: DISTANCE.bytesPerSecond });

process.on('message', async (order: Order) => {
  if (order === 'cut off') await upstream.down();
  process.send?.(tally());
});
process.once('disconnect', () => process.exit());
process.send?.({
  url: upstream.url(),
  hosts: upstream.roles.map((role) => upstream.authority(role)),
  ca: upstream.ca ?? '',
  digest: image.digest,
  platforms: Object.fromEntries(PLATFORMS.map((platform) => [platform, sizeOf(platform)])),
} satisfies Stage);

function tally(): Tally {
  const answered = { role: 'cdn', method: 'GET' } as const;
  const seen = {
    requests: upstream.count(),
    questions: upstream.count({ kind: 'manifest' }) + upstream.count({ kind: 'blob' }),
    blobs: upstream.count({ ...answered, status: 200 }) + upstream.count({ ...answered, status: 206 }),
    bytes: upstream.bytes(),
    blobBytes: upstream.bytes(answered),
  };
  upstream.reset();
  return seen;
}

function sizeOf(platform: string): { blobs: number; bytes: number } {
  const digests = blobsOf(image, platform);
  return { blobs: digests.length, bytes: digests.reduce((sum, digest) => sum + (blobs.get(digest)?.size ?? 0), 0) };
}
