import { algorithmOf, type Digest, digestOf, parseDigest } from '../oci/digest.ts';
import { acceptClass, acceptTypes, essence, isSchema1, MediaType } from '../oci/media-type.ts';
import { namespaced } from '../oci/route.ts';
import {
  digestAt,
  entryOf as lastEntry,
  type TagEntry,
  type TagRecord,
  withoutClass,
  withTag,
} from '../store/records.ts';
import { tellFailed } from '../store/trouble.ts';
import { type Identity, principalOf, UpstreamError, type UpstreamResponse } from '../upstream/contract.ts';
import { type Answer, type ContentAnswer, type Handling, liveFields, upstreamAnswer, type Why } from './answer.ts';
import type { Parts } from './blobs.ts';
import { decide, type FreshnessPolicy } from './freshness.ts';
import { type ManifestAsking, type Manifests, probeOf, readManifest } from './manifests.ts';
import { orStale, Silence } from './silence.ts';
import { lengthOf } from './source.ts';

const FRESH: Handling = { cache: 'hit', why: 'fresh' };
const QUESTION_TIMEOUT = 60_000;

/** What the upstream said a tag points to now. */
type Checked =
  | { readonly kind: 'found'; readonly entry: TagEntry; readonly live?: ContentAnswer['live'] }
  | { readonly kind: 'refused'; readonly response: UpstreamResponse }
  /** The answer cannot be kept (schema 1). */
  | { readonly kind: 'uncacheable' };

/** Manifests by tag: mutable, so the upstream is asked on every use, by HEAD, and its last answer bridges its silence. */
export class Tags {
  readonly #parts: Parts;
  readonly #manifests: Manifests;
  readonly #policy: (upstream: string) => FreshnessPolicy;
  readonly #checking = new Map<string, Promise<Checked>>();
  readonly #silence = new Silence();

  constructor(parts: Parts, manifests: Manifests, policy: (upstream: string) => FreshnessPolicy) {
    this.#parts = parts;
    this.#manifests = manifests;
    this.#policy = policy;
  }

  async get(asking: ManifestAsking, tag: string, method: 'GET' | 'HEAD'): Promise<Answer> {
    const { access, content } = this.#parts;
    const { repository, caller } = asking;
    const { upstream } = repository;
    const probe = probeOf(asking, tag);
    const grant = await access.grant(caller, repository, probe);
    const bridge = grant ?? (await access.grant(caller, repository, probe, true));
    const known = lastEntry(await content.tag(repository, tag), acceptClass(asking.accept));
    const freshness = decide(known?.checkedAt, Date.now(), this.#policy(upstream));
    if (known !== undefined && grant !== undefined && freshness === 'fresh') {
      return this.#answer(asking, known, method, FRESH, 'first-time');
    }
    const stale = bridge !== undefined && freshness !== 'unusable' ? known : undefined;
    const identified = access.identity(caller, repository);
    const since = performance.now();
    const asked = identified.then((identity) => this.#check(asking, tag, identity, grant !== undefined));
    const checked = await (stale === undefined ? asked : orStale(asked, grant && this.#silence.patience(upstream)));
    if (typeof checked === 'string') {
      if (checked === 'upstream-slow') this.#silence.missed(upstream, since);
      return this.#stale(asking, stale, method, checked);
    }
    if (checked.kind === 'refused') return this.#refusal(asking, tag, method, checked.response);
    if (checked.kind === 'uncacheable') return this.#passOn(asking, tag, method);
    const missing = known !== undefined && known.digest !== checked.entry.digest ? 'tag-moved' : 'first-time';
    const handling: Handling = { cache: 'revalidated', why: 'unchanged' };
    const answer = await this.#answer(asking, checked.entry, method, handling, missing);
    const { live } = checked;
    return live === undefined || answer.kind === 'upstream' ? answer : { live, ...answer };
  }

  /** The manifest of a tag that was checked so lately that nobody has to be asked. */
  async fresh(asking: ManifestAsking, tag: string): Promise<ContentAnswer | undefined> {
    const { access, content } = this.#parts;
    const { repository, caller, accept } = asking;
    if ((await access.grant(caller, repository)) === undefined) return undefined;
    const known = lastEntry(await content.tag(repository, tag), acceptClass(accept));
    const isFresh = decide(known?.checkedAt, Date.now(), this.#policy(repository.upstream)) === 'fresh';
    return known === undefined || !isFresh ? undefined : this.#manifests.stored(asking, known.digest, FRESH);
  }

  /** What the tag meant at `time`, as far as it was looked up through us then and this caller may read it. */
  async at({ repository, caller, accept }: ManifestAsking, tag: string, time: number): Promise<Digest | undefined> {
    const { access, content } = this.#parts;
    if ((await access.grant(caller, repository, undefined, true)) === undefined) return undefined;
    return digestAt(await content.tag(repository, tag), time, acceptClass(accept));
  }

  /** The manifest a tag's entry names: from the store, or fetched now by whoever wants more than its head. */
  async #answer(
    asking: ManifestAsking,
    entry: TagEntry,
    method: 'GET' | 'HEAD',
    handling: Handling,
    missing: 'first-time' | 'tag-moved',
  ): Promise<Answer> {
    const stored = await this.#manifests.stored(asking, entry.digest, handling);
    if (stored !== undefined) return stored;
    if (method === 'GET') return this.#manifests.fetch(asking, entry.digest, missing);
    const { digest, size, mediaType } = entry;
    return { kind: 'content', digest, size, mediaType, handling: { cache: 'miss', why: 'head-only' } };
  }

  async #stale(asking: ManifestAsking, entry: TagEntry | undefined, method: 'GET' | 'HEAD', why: Why): Promise<Answer> {
    if (entry === undefined) throw new UpstreamError('unreachable', 'nothing is known of this tag');
    const handling: Handling = { cache: 'stale', why };
    const stored = await this.#manifests.stored(asking, entry.digest, handling);
    if (stored !== undefined) return stored;
    if (method === 'GET') return this.#manifests.fetch(asking, entry.digest, 'first-time');
    const { digest, size, mediaType } = entry;
    return { kind: 'content', digest, size, mediaType, handling };
  }

  /** One question at a time for the same thing, shared by all who are the same to the upstream. */
  #check(asking: ManifestAsking, tag: string, identity: Identity, granted: boolean): Promise<Checked> {
    const { repository, accept } = asking;
    const key = `${principalOf(identity)} ${namespaced(repository)}:${tag} ${acceptClass(accept)}`;
    const running = this.#checking.get(key);
    if (running !== undefined) return running;
    const checking = this.#ask(asking, tag, identity, granted).finally(() => this.#checking.delete(key));
    this.#checking.set(key, checking);
    return checking;
  }

  async #ask(asking: ManifestAsking, tag: string, identity: Identity, granted: boolean): Promise<Checked> {
    const { membership } = this.#parts;
    const response = await this.#request(asking, tag, 'HEAD');
    response.body.destroy();
    if (response.status === 405 || (response.status === 200 && entryOf(response) === undefined))
      return this.#askByGet(asking, tag, identity);
    if (response.status !== 200) {
      await membership.refuse(asking, identity, response.status);
      if (granted && response.status === 404) await this.#drop(asking, tag);
      return { kind: 'refused', response };
    }
    const entry = entryOf(response);
    if (entry === undefined || isSchema1(entry.mediaType)) return { kind: 'uncacheable' };
    await membership.record(asking, identity, entry.digest, probeOf(asking, tag), { mediaType: entry.mediaType });
    await this.#remember(asking, tag, entry);
    return { kind: 'found', entry, ...liveFields(response) };
  }

  /** For upstreams whose HEAD does not say which digest a tag has: the bytes do. */
  async #askByGet(asking: ManifestAsking, tag: string, identity: Identity): Promise<Checked> {
    const { membership } = this.#parts;
    const response = await this.#request(asking, tag, 'GET');
    if (response.status !== 200) {
      response.body.destroy();
      await membership.refuse(asking, identity, response.status);
      return { kind: 'refused', response };
    }
    const bytes = await readManifest(response, asking.repository.upstream);
    const named = parseDigest(response.headers['docker-content-digest'] ?? '');
    response.body.destroy();
    if (bytes === undefined) return { kind: 'uncacheable' };
    const digest = digestOf(bytes, named === undefined ? 'sha256' : algorithmOf(named));
    if (named !== undefined && named !== digest)
      throw new UpstreamError('protocol', 'the upstream sent a manifest that is not what its digest says');
    const mediaType = essence(response.headers['content-type'] ?? '') || MediaType.ociManifest;
    await this.#manifests.keep(asking, digest, mediaType, bytes);
    await membership.record(asking, identity, digest, probeOf(asking, tag), { mediaType });
    const entry = { digest, mediaType, size: bytes.length, checkedAt: Date.now() };
    await this.#remember(asking, tag, entry);
    return { kind: 'found', entry, ...liveFields(response) };
  }

  async #remember({ repository, accept }: ManifestAsking, tag: string, entry: TagEntry): Promise<void> {
    const { content } = this.#parts;
    try {
      await content.updateTag(repository, tag, (record) => withTag(record, tag, acceptClass(accept), entry));
    } catch (error) {
      tellFailed(`cannot remember a tag of ${namespaced(repository)}`, error);
    }
  }

  async #drop({ repository, accept }: ManifestAsking, tag: string): Promise<void> {
    const { content } = this.#parts;
    const without = (record: TagRecord = { tag, classes: {}, history: [] }): TagRecord =>
      withoutClass(record, acceptClass(accept));
    try {
      await content.updateTag(repository, tag, without);
    } catch (error) {
      tellFailed(`cannot forget a tag of ${namespaced(repository)}`, error);
    }
  }

  /** A GET's refusal is passed on with its document. */
  async #refusal(
    asking: ManifestAsking,
    tag: string,
    method: 'GET' | 'HEAD',
    response: UpstreamResponse,
  ): Promise<Answer> {
    const handling: Handling = { cache: 'miss', why: 'upstream-refused' };
    return method === 'HEAD'
      ? upstreamAnswer(response, handling, false)
      : upstreamAnswer(await this.#request(asking, tag, 'GET'), handling, true);
  }

  async #passOn(asking: ManifestAsking, tag: string, method: 'GET' | 'HEAD'): Promise<Answer> {
    return upstreamAnswer(
      await this.#request(asking, tag, method),
      { cache: 'bypass', why: 'not-cacheable' },
      method === 'GET',
    );
  }

  async #request(asking: ManifestAsking, tag: string, method: 'GET' | 'HEAD'): Promise<UpstreamResponse> {
    const { access, upstream } = this.#parts;
    const { repository, caller, accept, userAgent } = asking;
    const response = await upstream(repository.upstream).request({
      ...probeOf(asking, tag),
      method,
      repository: repository.name,
      identity: await access.identity(caller, repository),
      accept: acceptTypes(accept),
      signal: AbortSignal.timeout(QUESTION_TIMEOUT),
      ...(userAgent !== undefined && { userAgent }),
    });
    this.#silence.heard(repository.upstream);
    return response;
  }
}

function entryOf({ headers }: UpstreamResponse): TagEntry | undefined {
  const digest = parseDigest(headers['docker-content-digest'] ?? '');
  const size = lengthOf(headers['content-length']);
  const mediaType = essence(headers['content-type'] ?? '');
  if (digest === undefined || size === undefined || mediaType === '') return undefined;
  const etag = headers.etag;
  return { digest, size, mediaType, checkedAt: Date.now(), ...(etag !== undefined && { etag }) };
}
