import { stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { Config } from '../config/config.ts';
import { openLookup } from '../config/lookup.ts';
import { CLASS, meaningOf } from '../hosted/manifest.ts';
import { type Digest, parseDigest } from '../oci/digest.ts';
import { isRepositoryName, isTag, matchesPattern } from '../oci/name.ts';
import { cachedRepository, namespaced, type Repository } from '../oci/route.ts';
import { Content } from '../store/content.ts';
import { FileBackend } from '../store/file-backend.ts';
import { type TagRecord, withTag } from '../store/records.ts';

const PAGE = 1000;
/** Who moved a tag that was restored; no user can have this name. */
const RESTORED = 'layover:restore';

/** One move of a tag, as it is told. */
interface Move {
  readonly tag: string;
  /** ISO 8601; for what is cached, when it was noticed. */
  readonly at: string;
  readonly from?: Digest;
  readonly to: Digest;
  readonly by?: string;
}

/** `history NAME[:TAG]` or `restore NAME:TAG DIGEST`; returns what to tell. */
export async function tags(
  [verb, ...words]: readonly string[],
  options: { readonly json?: boolean | undefined },
  load: () => Promise<Config>,
): Promise<string> {
  if (verb === 'history') return tagHistory(await load(), words, options);
  if (verb === 'restore') return restoreTag(await load(), words);
  throw new Error('expected tags history NAME[:TAG] or tags restore NAME:TAG DIGEST');
}

/** What NAME or NAME:TAG pointed to, oldest first: from the data directory, whether a gateway runs on it or not. */
export async function tagHistory(
  config: Config,
  words: readonly string[],
  { json }: { readonly json?: boolean | undefined },
): Promise<string> {
  const [word = '', ...more] = words;
  if (word === '' || more.length > 0) throw new Error('expected tags history NAME or NAME:TAG');
  const { repository, tag } = parse(config, word);
  const content = contentOf(config, repository);
  const moves: Move[] = [];
  for await (const one of tag === undefined ? tagsOf(content, repository) : [tag]) {
    moves.push(...movesOf(one, await content.tag(repository, one)));
  }
  if (moves.length === 0) throw new Error(`nothing is known of ${word} in ${config.storage.root}`);
  if (json === true) return `${JSON.stringify({ repository: namespaced(repository), moves })}\n`;
  return moves.map((move) => `${line(move, tag === undefined ? `${move.tag}  ` : '')}\n`).join('');
}

/** Points a hosted tag to a manifest of its repository again. */
export async function restoreTag(config: Config, words: readonly string[]): Promise<string> {
  const [word = '', text = '', ...more] = words;
  const digest = parseDigest(text);
  if (digest === undefined || more.length > 0) throw new Error('expected tags restore NAME:TAG sha256:…');
  const { repository, tag } = parse(config, word);
  if (tag === undefined) throw new Error(`${word} names no tag: expected NAME:TAG`);
  if (repository.root === 'cache') {
    throw new Error(
      `${word} is what its registry says, and only hosted tags can be restored: pull ${namespaced(repository)}@${digest}`,
    );
  }
  const content = contentOf(config, repository);
  await assertOwner(config);
  const link = await content.link(repository, digest);
  const size = await content.blobSize(digest);
  const { mediaType } = link ?? {};
  if (mediaType === undefined || size === undefined) throw new Error(`${digest} is no manifest of ${repository.name}`);
  const before = meaningOf(await content.tag(repository, tag));
  if (before === digest) return `${word} is ${digest} already\n`;
  const entry = { digest, mediaType, size, checkedAt: Date.now() };
  await content.updateTag(repository, tag, (record) => withTag(record, tag, CLASS, entry, RESTORED));
  return `${word} is ${digest} again${before === undefined ? '' : `; it was ${before}`}\n`;
}

/** Clients of different kinds see a tag move one after the other: what is told once is not told again. */
export function movesOf(tag: string, record: TagRecord | undefined): readonly Move[] {
  const moves: Move[] = [];
  for (const { at, digest, by } of record?.history ?? []) {
    const from = moves.at(-1)?.to;
    if (from === digest) continue;
    moves.push({ tag, at: new Date(at).toISOString(), ...(from && { from }), to: digest, ...(by && { by }) });
  }
  return moves;
}

function line({ at, from, to, by }: Move, tag: string): string {
  return `${at}  ${tag}${from === undefined ? '' : `${from} → `}${to}${by === undefined ? '' : `  by ${by}`}`;
}

function parse(config: Config, word: string): { readonly repository: Repository; readonly tag?: string } {
  const colon = word.indexOf(':', word.lastIndexOf('/'));
  const [name, tag] = colon < 0 ? [word] : [word.slice(0, colon), word.slice(colon + 1)];
  if (tag !== undefined && !isTag(tag)) throw new Error(`expected a tag of up to 128 characters, got ${tag}`);
  if (!isRepositoryName(name)) throw new Error(`expected the name of a repository, got ${name}`);
  return { repository: located(config, name), ...(tag !== undefined && { tag }) };
}

function located(config: Config, name: string): Repository {
  const slash = name.indexOf('/');
  if (slash > 0 && openLookup(config).upstream(name.slice(0, slash)) !== undefined) return cachedRepository(name);
  if (config.hosted.repositories.some((pattern) => matchesPattern(pattern, name))) {
    return { root: 'hosted', upstream: '', name };
  }
  throw new Error(
    `${name} is in no upstream, as docker.io/library/nginx is, and matches nothing in hosted.repositories`,
  );
}

function contentOf({ storage }: Config, { root }: Repository): Content {
  return new Content(new FileBackend(resolve(storage.root, root)), { durable: root === 'hosted' });
}

async function* tagsOf(content: Content, repository: Repository): AsyncGenerator<string> {
  for (let after: string | undefined; ; ) {
    const tags = await content.listTags(repository, { limit: PAGE, ...(after !== undefined && { after }) });
    yield* tags;
    after = tags.at(-1);
    if (tags.length < PAGE) return;
  }
}

/** What another user writes, the gateway could not read. */
async function assertOwner({ storage }: Config): Promise<void> {
  const directory = join(storage.root, 'hosted');
  const { uid } = await stat(directory);
  const own = process.geteuid?.();
  if (own === undefined || own === uid) return;
  throw new Error(`${directory} belongs to the user ${uid}: run this as that user (setpriv --reuid ${uid}, sudo -u)`);
}
