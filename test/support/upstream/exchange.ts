import type { IncomingMessage } from 'node:http';
import { type Content, fromBytes } from '../content.ts';
import type { Profile, Role } from './profile.ts';
import type { Repositories } from './repositories.ts';
import type { Signatures } from './signatures.ts';
import type { Tokens } from './tokens.ts';

export type Kind = 'ping' | 'token' | 'manifest' | 'blob' | 'upload' | 'tags' | 'referrers' | 'catalog' | 'other';

/** What a request is about: the repository's name, and the tag, digest or upload session at the end of the path. */
export interface Target {
  readonly kind: Kind;
  readonly repository: string;
  readonly reference: string;
}

/** What all hosts of one upstream share. */
export interface Site {
  readonly repositories: Repositories;
  readonly users: Map<string, string>;
  readonly tokens: Tokens;
  readonly signatures: Signatures;
  /** Manifest GETs that are still free, when the upstream counts them down to a 429. */
  pullsLeft: number;
  /** Origin of a host's URLs, without a slash at the end. */
  url(role: Role): string;
}

/** One request, as the endpoints see it. */
export interface Exchange {
  readonly site: Site;
  readonly profile: Profile;
  readonly role: Role;
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly target: Target;
  readonly request: IncomingMessage;
}

export interface Answer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string | readonly string[]>>;
  readonly content?: Content;
  /** Whether a Range header picks from the content. */
  readonly ranges?: boolean;
}

/** Reads the target of a request to any of the hosts; `realm` is the path of the token endpoint there. */
export function parseTarget(path: string, prefix: string, realm: string | undefined): Target {
  if (path === realm) return { kind: 'token', repository: '', reference: '' };
  if (path === '/v2/') return { kind: 'ping', repository: '', reference: '' };
  if (path === '/v2/_catalog') return { kind: 'catalog', repository: '', reference: '' };
  const stored = /^(?:\/artifacts-downloads)?\/(.+)\/blobs\/(sha\d+)\/([a-f0-9]+)$/.exec(path);
  if (stored !== null) return { kind: 'blob', repository: stored[1] ?? '', reference: `${stored[2]}:${stored[3]}` };
  const match = /^\/v2\/(.+?)\/(manifests|blobs|referrers|tags)\/(.*)$/.exec(path);
  const [, name = '', family = '', last = ''] = match ?? [];
  const repository = name.startsWith(prefix) ? name.slice(prefix.length) : name;
  if (match === null) return { kind: 'other', repository: '', reference: '' };
  if (last === 'uploads' || last.startsWith('uploads/')) {
    return { kind: 'upload', repository, reference: last.slice('uploads/'.length) };
  }
  return { kind: KINDS.get(family) ?? 'other', repository, reference: last };
}

const KINDS = new Map<string, Kind>([
  ['manifests', 'manifest'],
  ['blobs', 'blob'],
  ['referrers', 'referrers'],
  ['tags', 'tags'],
]);

export function json(status: number, body: unknown, headers: Answer['headers'] = {}): Answer {
  return {
    status,
    headers: { 'content-type': 'application/json', ...headers },
    content: fromBytes(typeof body === 'string' ? body : JSON.stringify(body)),
  };
}

/** The error document of the distribution-spec ("Error Codes"). */
export function failure(status: number, code: string, message: string, headers: Answer['headers'] = {}): Answer {
  return json(status, { errors: [{ code, message, detail: null }] }, headers);
}
