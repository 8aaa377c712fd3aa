import { setTimeout as sleep } from 'node:timers/promises';
import { admit, challenge, unauthorized } from './access.ts';
import { answerBlob, answerStored, deleteBlob } from './blobs.ts';
import { type Answer, type Exchange, failure, json } from './exchange.ts';
import type { Effect } from './fault.ts';
import { answerCatalog, answerTags } from './listings.ts';
import { answerManifest, answerReferrers, deleteManifest, putManifest } from './manifests.ts';
import { Repository } from './repositories.ts';
import { answerToken } from './tokens.ts';
import { answerUpload } from './uploads.ts';

/** The honest answer of one host of the upstream. */
export async function answer(exchange: Exchange): Promise<Answer> {
  const { profile, role, target, path } = exchange;
  if (role === 'cdn' || path.startsWith('/artifacts-downloads/')) return answerStored(exchange);
  if (target.kind === 'token' && profile.realm !== undefined) return answerToken(exchange, profile.realm);
  if (role === 'token') return failure(404, 'NOT_FOUND', 'page not found');
  return redirectElsewhere(exchange) ?? { ...withVersion(await answerRegistry(exchange)) };
}

function withVersion(reply: Answer): Answer {
  return { ...reply, headers: { 'docker-distribution-api-version': 'registry/2.0', ...reply.headers } };
}

function redirectElsewhere({ profile, site, target, path, query, request }: Exchange): Answer | undefined {
  const { elsewhere } = profile;
  if (elsewhere === undefined || !elsewhere.kinds.includes(target.kind)) return undefined;
  if (elsewhere.agents !== undefined && !elsewhere.agents.test(request.headers['user-agent'] ?? '')) return undefined;
  const there = target.kind === 'ping' ? path : path.replace('/v2/', `/v2/${elsewhere.prefix}`);
  const search = query.size === 0 ? '' : `?${query}`;
  return { status: 307, headers: { location: `${site.url('origin')}${there}${search}` } };
}

async function answerRegistry(exchange: Exchange): Promise<Answer> {
  const { profile, method, target, site } = exchange;
  if (target.kind === 'ping') return answerPing(exchange);
  const reads = method === 'GET' || method === 'HEAD';
  if (!reads && !profile.writable) return failure(405, 'UNSUPPORTED', 'the operation is unsupported');
  const action = reads && target.kind !== 'upload' ? 'pull' : 'push';
  const { refused } = admit(exchange, action);
  if (refused !== undefined) return refused;
  if (target.kind === 'catalog') return answerCatalog(exchange);
  if (target.repository === '') return failure(404, 'NOT_FOUND', 'page not found');
  if (!reads) return write(exchange, site.repositories.open(target.repository));
  return read(exchange, site.repositories.get(target.repository) ?? new Repository(target.repository, 'public'));
}

function answerPing(exchange: Exchange): Answer {
  const { refused } = admit(exchange, 'pull');
  if (refused !== undefined) return refused;
  const { realm } = exchange.profile;
  if (realm?.alwaysChallenges !== true) return json(200, '{}');
  return json(200, 'true', { 'www-authenticate': challenge(exchange, 'pull') });
}

async function read(exchange: Exchange, repository: Repository): Promise<Answer> {
  switch (exchange.target.kind) {
    case 'manifest':
      return answerManifest(exchange, repository);
    case 'blob':
      return answerBlob(exchange, repository);
    case 'tags':
      return answerTags(exchange, repository);
    case 'referrers':
      return answerReferrers(exchange, repository);
    case 'upload':
      return answerUpload(exchange, repository);
    default:
      return failure(404, 'NOT_FOUND', 'page not found');
  }
}

async function write(exchange: Exchange, repository: Repository): Promise<Answer> {
  const { method, target } = exchange;
  if (target.kind === 'upload') return answerUpload(exchange, repository);
  if (target.kind === 'manifest' && method === 'PUT') return putManifest(exchange, repository);
  if (target.kind === 'manifest' && method === 'DELETE') return deleteManifest(exchange, repository);
  if (target.kind === 'blob' && method === 'DELETE') return deleteBlob(exchange, repository);
  return failure(405, 'UNSUPPORTED', 'the operation is unsupported');
}

/** What a fault answers in place of the registry; `undefined` when the registry is to answer. */
export async function answerInstead(exchange: Exchange, effect: Effect): Promise<Answer | undefined> {
  const { delay, status, redirect, headers = {} } = effect;
  if (delay !== undefined) await sleep(delay);
  const given = Object.entries(headers).filter(([, value]) => value !== undefined);
  const lines = Object.fromEntries(given) as Record<string, string | readonly string[]>;
  if (redirect !== undefined) {
    const location = redirect === 'self' ? (exchange.request.url ?? '/') : redirect;
    return { status: status ?? 307, headers: { ...lines, location } };
  }
  if (status === undefined) return undefined;
  if (status === 401 && exchange.role !== 'cdn') {
    const honest = unauthorized(exchange);
    return { ...honest, headers: { ...honest.headers, ...lines } };
  }
  const code = status === 429 ? 'TOOMANYREQUESTS' : status >= 500 ? 'UNAVAILABLE' : 'DENIED';
  return failure(status, code, `a fault of status ${status}`, lines);
}
