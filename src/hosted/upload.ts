import { algorithmOf, type Digest, digestOf } from '../oci/digest.ts';
import { RegistryError } from '../oci/error.ts';
import type { Repository } from '../oci/route.ts';
import type { Exchange, Reply, RequestBody, Route } from '../registry/exchange.ts';
import { troubleOf } from '../store/trouble.ts';
import { type Hosted, kept, PUSHED } from './hosted.ts';
import { mount, publishBlob } from './mount.ts';
import type { Session } from './sessions.ts';
import { algorithmIn, type Chunk, digestIn, parseChunk, rangeOf } from './upload-request.ts';

type UploadRoute = Route & { kind: 'upload' };
type SessionRoute = UploadRoute & { readonly session: string };

/** Uploads of blobs (distribution-spec, "Pushing blobs", end-4 to end-6, end-11, end-13 and end-14). */
export async function upload(hosted: Hosted, exchange: Exchange, route: UploadRoute): Promise<Reply> {
  const { session } = route;
  if (session === undefined) {
    if (exchange.method !== 'POST') throw new RegistryError('UNSUPPORTED', 'an upload begins with a POST');
    return kept(begin(hosted, exchange, route));
  }
  const at = { ...route, session };
  switch (exchange.method) {
    case 'GET':
    case 'HEAD':
      return kept(status(hosted, at));
    case 'PATCH':
      return kept(append(hosted, exchange, at));
    case 'PUT':
      return kept(finish(hosted, exchange, at));
    case 'DELETE':
      return cancel(hosted, exchange, at);
    default:
      throw new RegistryError('UNSUPPORTED');
  }
}

/** A mount, a whole blob in one request, or a session; what cannot be done at once becomes a session, as the spec has it. */
async function begin(hosted: Hosted, exchange: Exchange, { repository, query, from }: UploadRoute): Promise<Reply> {
  const fields = new URLSearchParams(query);
  const mounted = digestIn(fields, 'mount');
  if (mounted !== undefined) {
    const isWider = fields.get('from') === null;
    const isDone = (isWider || from !== undefined) && (await mount(hosted, exchange, repository, mounted, from));
    if (isDone) return created(repository, mounted);
  }
  const algorithm = algorithmIn(fields);
  const digest = mounted === undefined ? digestIn(fields, 'digest') : undefined;
  if (digest !== undefined && (exchange.upload !== undefined || digest === digestOf(NOTHING, algorithmOf(digest)))) {
    await using session = await hosted.sessions.alone(repository.name, algorithm);
    await receive(session, exchange.upload, undefined).catch(async (error: unknown) => {
      await session.discard();
      throw error;
    });
    return await publish(hosted, session, repository, digest);
  }
  const session = await hosted.sessions.begin(repository.name, algorithm);
  return accepted({ repository, session }, 0);
}

/** Without waiting for whoever writes at this moment, whose bytes count as far as they are safe. */
async function status({ sessions }: Hosted, route: SessionRoute): Promise<Reply> {
  const { repository, session: id } = route;
  await using session = await sessions.openIdle(id, repository.name);
  await session?.settle();
  const size = session?.size ?? (await sessions.durable(id, repository.name));
  return { ...accepted(route, size), status: 204 };
}

async function append({ sessions }: Hosted, exchange: Exchange, route: SessionRoute): Promise<Reply> {
  const chunk = parseChunk(exchange.headers.contentRange, exchange.upload?.length);
  await using session = await sessions.open(route.session, route.repository.name, exchange.signal);
  assertNext(route, session, chunk);
  await receiveInto(session, exchange.upload, chunk);
  return accepted(route, session.size);
}

async function finish(hosted: Hosted, exchange: Exchange, route: SessionRoute): Promise<Reply> {
  const digest = digestIn(new URLSearchParams(route.query), 'digest');
  if (digest === undefined) throw new RegistryError('DIGEST_INVALID', 'digest: expected in the query of the last PUT');
  const chunk = parseChunk(exchange.headers.contentRange, exchange.upload?.length);
  await using session = await hosted.sessions.open(route.session, route.repository.name, exchange.signal);
  // Some clients name the range of the whole in an empty last request.
  if (exchange.upload !== undefined) assertNext(route, session, chunk);
  await receiveInto(session, exchange.upload, chunk);
  return await publish(hosted, session, route.repository, digest);
}

async function cancel(
  { sessions }: Hosted,
  exchange: Exchange,
  { repository, session: id }: SessionRoute,
): Promise<Reply> {
  await using session = await sessions.open(id, repository.name, exchange.signal);
  await session.discard();
  return { status: 204, headers: {}, outcome: PUSHED };
}

async function publish(hosted: Hosted, session: Session, repository: Repository, digest: Digest): Promise<Reply> {
  const actual = await session.digest(algorithmOf(digest));
  if (actual !== digest) {
    await session.discard();
    throw new RegistryError('DIGEST_INVALID', `expected ${digest}, got ${actual}`);
  }
  await publishBlob(hosted, session, repository, digest);
  return created(repository, digest);
}

const NOTHING = new Uint8Array();

function assertNext(route: SessionRoute, { size }: Session, chunk: Chunk | undefined): void {
  if (chunk === undefined || chunk.start === size) return;
  const { headers } = accepted(route, size);
  throw new RegistryError('RANGE_INVALID', `the next byte of this upload is ${size}, not ${chunk.start}`, {
    headers: { Location: headers.Location, Range: headers.Range },
  });
}

/** Keeps what came, so that a client can go on from there; but a disk that takes no more is given back what it took. */
async function receiveInto(session: Session, body: RequestBody | undefined, chunk: Chunk | undefined): Promise<void> {
  try {
    await receive(session, body, chunk);
    await session.settle();
  } catch (error) {
    if (troubleOf(error) !== undefined) await session.discard();
    else await session.settle().catch(() => undefined);
    throw error;
  }
}

async function receive(session: Session, body: RequestBody | undefined, chunk: Chunk | undefined): Promise<void> {
  const start = session.size;
  let isLonger = false;
  for await (const bytes of body ?? []) {
    isLonger = chunk !== undefined && session.size + bytes.length > chunk.end;
    if (isLonger) break;
    await session.append(bytes);
  }
  if (chunk === undefined || body === undefined || (session.size === chunk.end && !isLonger)) return;
  await session.truncate(start);
  throw new RegistryError('SIZE_INVALID', `expected the ${chunk.end - chunk.start} bytes that Content-Range names`);
}

function accepted(
  { repository, session }: { readonly repository: Repository; readonly session: string },
  size: number,
): Reply & { readonly headers: { readonly Location: string; readonly Range: string } } {
  const headers = {
    Location: `/v2/${repository.name}/blobs/uploads/${session}`,
    Range: rangeOf(size),
    'Docker-Upload-UUID': session,
    'Content-Length': '0',
  };
  return { status: 202, headers, outcome: PUSHED };
}

function created(repository: Repository, digest: Digest): Reply {
  const headers = {
    Location: `/v2/${repository.name}/blobs/${digest}`,
    'Docker-Content-Digest': digest,
    'Content-Length': '0',
  };
  return { status: 201, headers, outcome: PUSHED };
}
