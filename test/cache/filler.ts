import type { ExecutionContext } from 'ava';
import { parseDigest } from '../../src/oci/digest.ts';
import { cachedRepository } from '../../src/oci/route.ts';
import { upstreamOf } from '../upstream/support.ts';
import { roomOf } from './room.ts';

// Fills a blob in a directory until it is killed; says when it has begun.
const [dir = '', url = '', digest = '', ...blobHosts] = process.argv.slice(2);
const t = { teardown: () => undefined } as unknown as ExecutionContext;
const upstream = upstreamOf(t, { name: 'shared.example', urls: [new URL(url)], blobHosts });
const repository = cachedRepository('shared.example/library/nginx');
const source = {
  upstream,
  repository,
  identity: { kind: 'anonymous' },
  path: `/v2/library/nginx/blobs/${digest}`,
} as const;
const parsed = parseDigest(digest);
if (parsed === undefined) throw new Error('not a digest');
const begun = await roomOf(t, dir).fills.begin(parsed, source);
process.stdout.write(`${begun.kind}\n`);
