import type { Access, Probe } from '../auth/access.ts';
import type { Caller } from '../auth/principal.ts';
import type { Digest } from '../oci/digest.ts';
import { essence } from '../oci/media-type.ts';
import { cachedRepository, namespaced, type Repository } from '../oci/route.ts';
import type { Content } from '../store/content.ts';
import type { Link } from '../store/records.ts';
import { tellFailed } from '../store/trouble.ts';
import type { Identity, UpstreamResponse } from '../upstream/contract.ts';
import { isOutOfReach } from '../upstream/failure.ts';
import type { Upstream } from '../upstream/upstream.ts';
import { lengthOf } from './source.ts';

/** What every question to the cache carries. */
export interface Asking {
  readonly repository: Repository;
  readonly caller: Caller;
  readonly userAgent?: string;
  /** Aborted when the client goes away. */
  readonly signal: AbortSignal;
}

/** How a caller's right to a digest was settled. */
export type Proof =
  /** Settled by what is known, without the upstream. */
  | { readonly kind: 'known' }
  /** Settled by the upstream just now. */
  | { readonly kind: 'asked'; readonly size?: number }
  /** The upstream is out of reach; settled by what it said before. */
  | { readonly kind: 'offline' }
  /** The body of this answer to a HEAD is spent. */
  | { readonly kind: 'refused'; readonly response: UpstreamResponse };

const QUESTION_TIMEOUT = 60_000;

/** Which digest belongs to which repository, and who may read it there: by the upstream's own answers only. */
export class Membership {
  readonly #content: Content;
  readonly #access: Access;
  readonly #upstream: (name: string) => Upstream;
  readonly #asking = new Map<string, Promise<Proof>>();

  constructor(content: Content, access: Access, upstream: (name: string) => Upstream) {
    this.#content = content;
    this.#access = access;
    this.#upstream = upstream;
  }

  /** Whether the caller may read the digest in this repository, as far as is known without asking. */
  async knows({ caller, repository }: Asking, digest: Digest, probe?: Probe, offline = false): Promise<boolean> {
    const grant = await this.#access.grant(caller, repository, probe, offline);
    return grant !== undefined && (await this.#content.link(repository, digest)) !== undefined;
  }

  /** Settles the caller's right by one HEAD, shared by everybody who is the same to the upstream. */
  async prove(asking: Asking, digest: Digest, probe: Probe): Promise<Proof> {
    const key = keyOf(asking, probe);
    // Looked for first: what is being noted may be noted by the time that it is known not to have been.
    const noted = this.#asking.get(key);
    if (await this.knows(asking, digest, probe)) return { kind: 'known' };
    const running = noted ?? this.#asking.get(key);
    if (running !== undefined) return running;
    const proof = this.#ask(asking, digest, probe).finally(() => this.#asking.delete(key));
    this.#asking.set(key, proof);
    return proof;
  }

  /** Notes that the upstream gave `identity` this digest in this repository: who is the same to it need not ask. */
  async record(asking: Asking, identity: Identity, digest: Digest, probe: Probe, link: Link = {}): Promise<void> {
    const key = keyOf(asking, probe);
    const noted = this.#note(asking, identity, digest, probe, link);
    const proof = noted.then((): Proof => ({ kind: 'known' }));
    proof.catch(() => undefined);
    if (!this.#asking.has(key)) this.#asking.set(key, proof);
    try {
      await noted;
    } finally {
      if (this.#asking.get(key) === proof) this.#asking.delete(key);
    }
  }

  async #note(
    { caller, repository }: Asking,
    identity: Identity,
    digest: Digest,
    probe: Probe,
    link: Link,
  ): Promise<void> {
    await this.#access.proved(caller, identity, repository, probe);
    try {
      await this.#content.addLink(repository, digest, link);
      if (await this.#access.isPublic(repository)) await this.#content.markPublic(digest, repository);
    } catch (error) {
      tellFailed(`cannot link ${digest} into ${namespaced(repository)}`, error);
    }
  }

  async refuse({ caller, repository }: Asking, identity: Identity, status: number): Promise<void> {
    if (status === 401 || status === 403) await this.#access.refused(caller, identity, repository);
  }

  /**
   * Whether the upstream's silence may be bridged: it said yes before, or a manifest of this repository names the
   * digest and its bytes are known to be public.
   */
  async bridges(asking: Asking, digest: Digest, probe: Probe): Promise<boolean> {
    if (await this.knows(asking, digest, probe, true)) return true;
    const grant = await this.#access.grant(asking.caller, asking.repository, probe, true);
    if (grant === undefined || !(await this.#content.isClaimed(asking.repository, digest))) return false;
    const witness = await this.#content.publicBy(digest);
    return witness !== undefined && this.#access.isPublic(cachedRepository(witness));
  }

  async #ask(asking: Asking, digest: Digest, probe: Probe): Promise<Proof> {
    const { caller, repository } = asking;
    try {
      const identity = await this.#access.identity(caller, repository);
      const response = await this.#upstream(repository.upstream).request({
        ...probe,
        method: 'HEAD',
        repository: repository.name,
        identity,
        signal: AbortSignal.timeout(QUESTION_TIMEOUT),
        ...(asking.userAgent !== undefined && { userAgent: asking.userAgent }),
      });
      response.body.destroy();
      if (response.status !== 200) {
        await this.refuse(asking, identity, response.status);
        return { kind: 'refused', response };
      }
      const size = lengthOf(response.headers['content-length']);
      const known = size === undefined ? {} : { size };
      const mediaType = essence(response.headers['content-type'] ?? '');
      await this.record(asking, identity, digest, probe, probe.kind === 'manifest' ? { mediaType } : known);
      return { kind: 'asked', ...known };
    } catch (error) {
      if (isOutOfReach(error) && (await this.bridges(asking, digest, probe))) return { kind: 'offline' };
      throw error;
    }
  }
}

function keyOf({ caller, repository }: Asking, { path }: Probe): string {
  return `${caller.principal} ${repository.upstream} ${path}`;
}
