import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { buffer } from 'node:stream/consumers';
import { digestOf, fromBytes } from '../content.ts';
import { type Answer, type Exchange, failure } from './exchange.ts';
import type { Repository } from './repositories.ts';

/** The upload endpoints (distribution-spec, "Pushing blobs"): POST, PATCH, PUT, GET and DELETE of a session. */
export async function answerUpload(exchange: Exchange, repository: Repository): Promise<Answer> {
  const { method, target } = exchange;
  if (method === 'POST') return open(exchange, repository);
  const received = repository.uploads.get(target.reference);
  if (received === undefined) return failure(404, 'BLOB_UPLOAD_UNKNOWN', 'blob upload unknown to registry');
  switch (method) {
    case 'PATCH':
      return append(exchange, repository, received);
    case 'PUT':
      return finish(exchange, repository, received);
    case 'GET':
      return progress(204, repository, target.reference);
    case 'DELETE':
      repository.uploads.delete(target.reference);
      return { status: 204 };
    default:
      return failure(405, 'UNSUPPORTED', 'the operation is unsupported');
  }
}

async function open(exchange: Exchange, repository: Repository): Promise<Answer> {
  const { site, query } = exchange;
  const mount = query.get('mount');
  const source = site.repositories.get(query.get('from') ?? '')?.blobs.get(mount ?? '');
  if (mount !== null && source !== undefined) {
    repository.blobs.set(mount, source);
    return created(repository, mount);
  }
  const session = randomUUID();
  repository.uploads.set(session, []);
  if (query.has('digest')) return finish(exchange, repository, [], session);
  return progress(202, repository, session);
}

async function append(exchange: Exchange, repository: Repository, received: Buffer[]): Promise<Answer> {
  const { request, target } = exchange;
  const bytes = await buffer(request);
  if (outOfOrder(request, received)) return progress(416, repository, target.reference);
  received.push(bytes);
  return progress(202, repository, target.reference);
}

async function finish(
  { request, query, target }: Exchange,
  repository: Repository,
  received: readonly Buffer[],
  session: string = target.reference,
): Promise<Answer> {
  const bytes = await buffer(request);
  if (outOfOrder(request, received)) return progress(416, repository, session);
  const content = fromBytes(Buffer.concat([...received, bytes]));
  const digest = query.get('digest') ?? '';
  const [algorithm = ''] = digest.split(':');
  if (!/^sha(?:256|512)$/.test(algorithm) || digestOf(content, algorithm) !== digest) {
    return failure(400, 'DIGEST_INVALID', 'provided digest did not match uploaded content');
  }
  repository.uploads.delete(session);
  repository.blobs.set(digest, content);
  return created(repository, digest);
}

/** Whether a chunk says that it belongs elsewhere than at the end of what has been received. */
function outOfOrder({ headers }: IncomingMessage, received: readonly Buffer[]): boolean {
  const start = /^(\d+)-(\d+)$/.exec(headers['content-range'] ?? '')?.[1];
  return start !== undefined && Number(start) !== sizeOf(received);
}

function created(repository: Repository, digest: string): Answer {
  return {
    status: 201,
    headers: { location: `/v2/${repository.name}/blobs/${digest}`, 'docker-content-digest': digest },
  };
}

function progress(status: number, repository: Repository, session: string): Answer {
  const size = sizeOf(repository.uploads.get(session) ?? []);
  return {
    status,
    headers: {
      location: `/v2/${repository.name}/blobs/uploads/${session}?_state=${Buffer.from(`${size}`).toString('base64url')}`,
      range: `0-${Math.max(0, size - 1)}`,
      'docker-upload-uuid': session,
    },
  };
}

function sizeOf(received: readonly Buffer[]): number {
  return received.reduce((sum, bytes) => sum + bytes.length, 0);
}
