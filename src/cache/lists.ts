import { Readable } from 'node:stream';
import { isDeepStrictEqual } from 'node:util';
import type { Digest } from '../oci/digest.ts';
import { parseManifest } from '../oci/manifest.ts';
import { essence, MediaType } from '../oci/media-type.ts';
import { nextLink, pageOf, parsePage } from '../oci/paging.ts';
import { namespaced, type Repository } from '../oci/route.ts';
import { asObject, parseObject, toJson } from '../store/json.ts';
import type { KeptList } from '../store/kept-lists.ts';
import { tellFailed } from '../store/trouble.ts';
import { UpstreamError } from '../upstream/contract.ts';
import { type Handling, type UpstreamAnswer, upstreamAnswer } from './answer.ts';
import type { Parts } from './blobs.ts';
import { decide, type FreshnessPolicy } from './freshness.ts';
import type { Asking } from './membership.ts';
import { orStale, Silence } from './silence.ts';

const LIVE: Handling = { cache: 'bypass', why: 'not-cacheable' };
const QUESTION_TIMEOUT = 60_000;
/** Longer lists of referrers are not kept (bytes). */
const MAX_KEPT = 256 << 10;
const BATCH = 64;

/** A question for a list of a repository, as the client put it. */
export interface ListAsking extends Asking {
  readonly method: 'GET' | 'HEAD';
  readonly accept: readonly string[];
  readonly query: string;
}

/** Tag lists and lists of referrers: asked for on every use, and made of what is here while the upstream is away. */
export class Lists {
  readonly #parts: Parts;
  readonly #policy: (upstream: string) => FreshnessPolicy;
  readonly #silence = new Silence();

  constructor(parts: Parts, policy: (upstream: string) => FreshnessPolicy) {
    this.#parts = parts;
    this.#policy = policy;
  }

  /** The upstream's list; while it is out of reach, the tags that were pulled through us. */
  async tags(asking: ListAsking): Promise<UpstreamAnswer> {
    const { caller, repository, query } = asking;
    const mayBridge = (await this.#parts.access.grant(caller, repository, undefined, true)) !== undefined;
    const asked = this.#ask(asking, 'tags', 'tags/list', query);
    const answer = await (mayBridge ? orStale(asked, undefined) : asked);
    if (typeof answer !== 'string') return answer;
    const page = parsePage(query);
    const found = await this.#cachedTags(repository, page.limit + 1, page.after);
    if (found.length === 0 && page.after === undefined) return asked;
    const { entries, isLast } = pageOf(page, found);
    const path = `/v2/${repository.name}/tags/list`;
    const link = isLast ? {} : { link: nextLink(path, { n: String(page.limit), last: entries.at(-1) ?? '' }) };
    const list = { name: repository.name, tags: entries };
    return listAnswer(list, { 'content-type': 'application/json', ...link }, { cache: 'stale', why: answer });
  }

  /** What refers to `subject`: the upstream's list, or the one that it gave last. */
  async referrers(asking: ListAsking, subject: Digest): Promise<UpstreamAnswer> {
    const { access } = this.#parts;
    const { caller, repository, query } = asking;
    const fields = new URLSearchParams(query);
    const path = `referrers/${subject}`;
    if ([...fields.keys()].some((name) => name !== 'artifactType')) return this.#ask(asking, 'referrers', path, query);
    const type = fields.get('artifactType') ?? undefined;
    const grant = await access.grant(caller, repository);
    const known = await this.#known(asking, subject);
    if (known?.freshness === 'fresh' && grant !== undefined) return shown(known, type, { cache: 'hit', why: 'fresh' });
    const since = performance.now();
    const asked = this.#fetch(asking, subject);
    const patience = grant && this.#silence.patience(repository.upstream);
    const answer = await (known === undefined ? asked : orStale(asked, patience));
    if (answer === undefined) return this.#ask(asking, 'referrers', path, query);
    if (typeof answer !== 'string') return 'checkedAt' in answer ? shown(answer, type, LIVE) : answer;
    if (answer === 'upstream-slow') this.#silence.missed(repository.upstream, since);
    asked.then((late) => late && 'stream' in late && late.stream?.destroy()).catch(() => undefined);
    return shown(known, type, { cache: 'stale', why: answer });
  }

  /** The list that was kept, if this caller may read it also while the upstream is away. */
  async #known({ caller, repository }: ListAsking, subject: Digest) {
    const grant = await this.#parts.access.grant(caller, repository, undefined, true);
    const kept = grant && (await this.#parts.lists.get(repository, subject));
    const policy = this.#policy(repository.upstream);
    const freshness = decide(kept?.checkedAt, Date.now(), policy);
    if (kept === undefined || freshness === 'unusable') return undefined;
    // What was attached a moment ago is to be seen.
    return { ...kept, freshness: policy.ttl > 0 ? freshness : ('stale' as const) };
  }

  /** Asks for the whole list and keeps it; `undefined` for one that cannot be kept. */
  async #fetch(asking: ListAsking, subject: Digest): Promise<KeptList | UpstreamAnswer | undefined> {
    const signal = AbortSignal.timeout(QUESTION_TIMEOUT);
    const answer = await this.#ask({ ...asking, method: 'GET', signal }, 'referrers', `referrers/${subject}`, '');
    const { status, headers, stream } = answer;
    this.#silence.heard(asking.repository.upstream);
    if (status === 404) await this.#keep(asking.repository, subject, { checkedAt: Date.now() });
    if (status !== 200 || stream === undefined) return answer;
    const isWhole = headers.link === undefined && essence(headers['content-type'] ?? '') === MediaType.ociIndex;
    const bytes = isWhole ? await readBounded(stream, MAX_KEPT) : undefined;
    stream.destroy();
    const index = bytes && parseObject(bytes);
    if (!Array.isArray(index?.manifests)) return undefined;
    const list = { checkedAt: Date.now(), index };
    await this.#keep(asking.repository, subject, list);
    return list;
  }

  /**
   * Only of what was pulled through us, or is in such a list: anybody can ask for digests that do not exist. What is
   * listed is claimed, since clients go on to ask what refers to that.
   */
  async #keep(repository: Repository, subject: Digest, list: KeptList): Promise<void> {
    const { content, lists } = this.#parts;
    try {
      const isOurs = await content.link(repository, subject);
      if (isOurs === undefined && !(await content.isClaimed(repository, subject))) return;
      const before = await lists.get(repository, subject);
      if (!isDeepStrictEqual(before?.index, list.index)) await content.addClaims(repository, listedIn(list));
      await lists.put(repository, subject, list);
    } catch (error) {
      tellFailed(`cannot keep what refers to ${subject} in ${namespaced(repository)}`, error);
    }
  }

  /** Up to `limit` tags in byte order whose manifests were pulled, and that were there when they were last looked up. */
  async #cachedTags(repository: Repository, limit: number, after: string | undefined): Promise<readonly string[]> {
    const { content } = this.#parts;
    const found: string[] = [];
    for (let last = after; found.length < limit; ) {
      const tags = await content.listTags(repository, { limit: BATCH, ...(last !== undefined && { after: last }) });
      const records = await Promise.all(tags.map((tag) => content.tag(repository, tag)));
      found.push(...tags.filter((_, at) => Object.keys(records[at]?.classes ?? {}).length > 0));
      if (tags.length < BATCH) break;
      last = tags.at(-1);
    }
    return found.slice(0, limit);
  }

  async #ask(asking: ListAsking, kind: 'tags' | 'referrers', rest: string, query: string): Promise<UpstreamAnswer> {
    const { access, upstream } = this.#parts;
    const { repository, caller, method, accept, signal, userAgent } = asking;
    const response = await upstream(repository.upstream).request({
      kind,
      method,
      path: `/v2/${repository.name}/${rest}${query === '' ? '' : `?${query}`}`,
      repository: repository.name,
      identity: await access.identity(caller, repository),
      accept,
      signal,
      ...(userAgent !== undefined && { userAgent }),
    });
    return upstreamAnswer(response, LIVE, method === 'GET');
  }
}

/** An answer that is made here of a list that was kept; where the upstream has none, clients look for a tag instead. */
function shown(list: KeptList | undefined, type: string | undefined, handling: Handling): UpstreamAnswer {
  if (list?.index === undefined) {
    const errors = [{ code: 'UNSUPPORTED', message: 'the upstream registry has no lists of referrers' }];
    return listAnswer({ errors }, { 'content-type': 'application/json' }, handling, 404);
  }
  const manifests = (Array.isArray(list.index.manifests) ? list.index.manifests : []).map(asObject);
  const filters = type !== undefined && manifests.every((manifest) => typeof manifest?.artifactType === 'string');
  const headers = { 'content-type': MediaType.ociIndex, ...(filters && { 'oci-filters-applied': 'artifactType' }) };
  const found = filters ? manifests.filter((manifest) => manifest?.artifactType === type) : manifests;
  return listAnswer({ ...list.index, manifests: found }, headers, handling);
}

function listedIn({ index }: KeptList): readonly Digest[] {
  return parseManifest(toJson(index ?? {}))?.children.map(({ digest }) => digest) ?? [];
}

function listAnswer(
  list: object,
  headers: Readonly<Record<string, string>>,
  handling: Handling,
  status = 200,
): UpstreamAnswer {
  const bytes = Buffer.from(JSON.stringify(list));
  const stream = Readable.from([bytes]);
  return {
    kind: 'upstream',
    status,
    headers: { ...headers, 'content-length': String(bytes.length) },
    challenges: [],
    stream,
    handling,
  };
}

/** All of a body that is no longer than `limit`. */
async function readBounded(body: Readable, limit: number): Promise<Uint8Array | undefined> {
  const chunks: Buffer[] = [];
  let length = 0;
  try {
    for await (const chunk of body as AsyncIterable<Buffer>) {
      length += chunk.length;
      if (length > limit) return undefined;
      chunks.push(chunk);
    }
  } catch (cause) {
    throw new UpstreamError('unreachable', 'the upstream broke off a list', { cause });
  }
  return Buffer.concat(chunks, length);
}
