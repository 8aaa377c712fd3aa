import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import type { Patience } from '../../src/cache/downloads.ts';
import type { Fill } from '../../src/cache/fill.ts';
import { Fills } from '../../src/cache/fills.ts';
import { Follower } from '../../src/cache/follower.ts';
import type { Source } from '../../src/cache/source.ts';
import { type Digest, parseDigest } from '../../src/oci/digest.ts';
import { cachedRepository } from '../../src/oci/route.ts';
import { DiskSpace } from '../../src/space/disk-space.ts';
import { Content } from '../../src/store/content.ts';
import { FileBackend } from '../../src/store/file-backend.ts';
import { FileClaims } from '../../src/store/file-claims.ts';
import { Spool } from '../../src/store/spool.ts';
import type { Upstream } from '../../src/upstream/upstream.ts';
import { directoryOf } from '../store/directory.ts';
import type { Blob } from '../support/content.ts';
import { type FakeUpstream, startUpstream } from '../support/upstream/upstream.ts';
import { upstreamOf } from '../upstream/support.ts';

/** A registry and our side of it. */
export interface Site {
  readonly fake: FakeUpstream;
  readonly upstream: Upstream;
}

export async function siteOf(t: ExecutionContext, name: string, blob: Blob): Promise<Site> {
  const fake = await startUpstream({ profile: 'mcr', tls: false });
  t.teardown(() => fake.close());
  fake.addBlob('library/nginx', blob);
  const blobHosts = fake.roles.map((role) => fake.authority(role));
  return { fake, upstream: upstreamOf(t, { name, urls: [new URL(fake.url())], blobHosts }) };
}

export function sourceAt({ upstream }: Site, { digest }: Blob): Source {
  const repository = cachedRepository(`${upstream.name}/library/nginx`);
  return { upstream, repository, identity: { kind: 'anonymous' }, path: `/v2/library/nginx/blobs/${digest}` };
}

export interface Room {
  readonly fills: Fills;
  readonly content: Content;
  readonly spool: Spool;
  readonly claims: FileClaims;
  readonly space: DiskSpace;
  readonly dir: string;
}

/** `times`: of claims, in milliseconds. */
export function roomOf(
  t: ExecutionContext,
  dir = directoryOf(t),
  patience?: Patience,
  times: { staleAfter?: number; heartbeat?: number } = {},
): Room {
  const content = new Content(new FileBackend(join(dir, 'cache')));
  const spool = new Spool(join(dir, 'spool'));
  const claims = new FileClaims(join(dir, 'spool', 'claims'), times);
  const space = new DiskSpace({ root: dir, cache: join(dir, 'cache'), spool: join(dir, 'spool') }, claims, AMPLE);
  t.teardown(() => space[Symbol.asyncDispose]());
  const fills = new Fills({ content, spool, claims, space }, patience === undefined ? {} : { patience });
  t.teardown(() => fills.close());
  return { fills, content, spool, claims, space, dir };
}

/** More than any test needs. */
const AMPLE = { size: 2 ** 40, reserve: 0, high: 1 };

export function digestIn({ digest }: Blob): Digest {
  const parsed = parseDigest(digest);
  if (parsed === undefined) throw new Error('not a digest');
  return parsed;
}

export const FOREVER = new AbortController().signal;

export async function readAll(reader: Follower, size: number, buffer = new Uint8Array(1 << 16)): Promise<Buffer> {
  const parts: Buffer[] = [];
  for (let at = 0; at < size; ) {
    const read = await reader.read(buffer.subarray(0, Math.min(buffer.length, size - at)), at, FOREVER);
    parts.push(Buffer.from(buffer.subarray(0, read)));
    at += read;
  }
  return Buffer.concat(parts);
}

export async function begin({ fills }: Room, blob: Blob, source: Source): Promise<Fill> {
  const begun = await fills.begin(digestIn(blob), source);
  if (begun.kind !== 'fill') throw new Error(`no fill but ${begun.kind}`);
  return begun.fill;
}

/** A reader of the whole, that lets go of the fill when the test is over. */
export function follow(t: ExecutionContext, fill: Fill, source: Source): Follower {
  const follower = Follower.follow(fill, source, { start: 0, end: fill.size });
  t.teardown(() => follower[Symbol.asyncDispose]());
  return follower;
}
