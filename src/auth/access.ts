import { publish } from '../events.ts';
import { namespaced, type Repository } from '../oci/route.ts';
import type { Content } from '../store/content.ts';
import { type AccessRecord, proofOf, withoutProof, withoutPublic, withProof, withPublic } from '../store/records.ts';
import type { Identity, UpstreamRequest } from '../upstream/contract.ts';
import type { Upstream } from '../upstream/upstream.ts';
import type { Caller, Principal } from './principal.ts';

/** Why somebody may read a repository: anyone may, this principal may, or our own policy says so. */
export type Grant = 'public' | 'proven' | 'served';

/** How to ask an upstream about a piece of content, without saying as whom. */
export type Probe = Pick<UpstreamRequest, 'kind' | 'path'>;

export interface AccessPolicy {
  /** Milliseconds for which a proof still counts while the upstream cannot be asked; 0: never. */
  readonly offline: number;
  /** Whether the configured account of the repository's upstream serves it to everybody. */
  readonly served: (repository: Repository) => boolean;
  readonly hasCredentials: (upstream: string) => boolean;
}

/** Milliseconds a proof counts without asking again; a token that ends earlier ends it earlier. */
const GRANT_LIFE = 5 * 60_000;
const PUBLIC_RECHECK = 24 * 3_600_000;
const RETRY_PROBE = 3_600_000;
const PROBE_TIMEOUT = 20_000;
const MAX_REMEMBERED = 50_000;

/**
 * Whose bytes these are. Content is shared by digest, permission is not: a repository is readable by whom its
 * upstream let read it, proven here by the upstream's own answers.
 */
export class Access {
  readonly #content: Content;
  readonly #policy: AccessPolicy;
  readonly #upstream: (name: string) => Upstream;
  readonly #records = new Map<string, Promise<AccessRecord>>();
  /** Live proofs, `principal repository` → epoch milliseconds of their end. */
  readonly #live = new Map<string, number>();
  /** When a repository was last probed anonymously. */
  readonly #probed = new Map<string, number>();

  constructor(content: Content, policy: AccessPolicy, upstream: (name: string) => Upstream) {
    this.#content = content;
    this.#policy = policy;
    this.#upstream = upstream;
  }

  /**
   * Whether `caller` may read what is linked into `repository` without asking the upstream again. With `offline`, the
   * upstream cannot be asked, and an older proof counts too. `probe` lets us ask whether a public repository still is.
   */
  async grant(caller: Caller, repository: Repository, probe: Probe, offline = false): Promise<Grant | undefined> {
    if (this.#policy.served(repository)) return 'served';
    const record = await this.#record(repository);
    if (record.public !== undefined) {
      if (Date.now() - record.public.checked > PUBLIC_RECHECK) this.#probeAnonymously(repository, probe);
      return 'public';
    }
    if (caller.principal === 'anonymous') return undefined;
    if ((this.#live.get(key(caller.principal, repository)) ?? 0) > Date.now()) return 'proven';
    if (!offline) return undefined;
    const at = proofOf(record, caller.principal);
    return at !== undefined && Date.now() - at < this.#policy.offline ? 'proven' : undefined;
  }

  async isPublic(repository: Repository): Promise<boolean> {
    return (await this.#record(repository)).public !== undefined;
  }

  /** As whom to ask the upstream for this caller. */
  async identity(caller: Caller, repository: Repository): Promise<Identity> {
    if (caller.authorization !== undefined && caller.principal !== 'anonymous') {
      return { kind: 'forward', authorization: caller.authorization, principal: caller.principal };
    }
    if (this.#policy.served(repository)) return { kind: 'configured' };
    if (await this.isPublic(repository)) {
      return this.#policy.hasCredentials(repository.upstream) ? { kind: 'configured' } : { kind: 'anonymous' };
    }
    if (caller.authorization === undefined) return { kind: 'anonymous' };
    return { kind: 'forward', authorization: caller.authorization, principal: 'anonymous' };
  }

  /** Records that the upstream let `identity` read from `repository`. */
  async proved(caller: Caller, identity: Identity, repository: Repository, probe: Probe): Promise<void> {
    if (identity.kind === 'configured') return;
    publish('proof', { upstream: repository.upstream, result: 'granted' });
    if (identity.kind === 'anonymous' || identity.principal === 'anonymous') return this.#setPublic(repository, true);
    const now = Date.now();
    this.#remember(
      this.#live,
      key(caller.principal, repository),
      Math.min(now + GRANT_LIFE, caller.expires ?? Number.POSITIVE_INFINITY),
    );
    const at = proofOf(await this.#record(repository), caller.principal) ?? 0;
    if (now - at >= GRANT_LIFE) await this.#update(repository, (record) => withProof(record, caller.principal, now));
    if (!(await this.isPublic(repository))) this.#probeAnonymously(repository, probe);
  }

  /** Records that the upstream refused `identity`: what was proven before is withdrawn. */
  async refused(caller: Caller, identity: Identity, repository: Repository): Promise<void> {
    if (identity.kind === 'configured') return;
    publish('proof', { upstream: repository.upstream, result: 'refused' });
    if (identity.kind === 'anonymous') return this.#setPublic(repository, false);
    if (identity.principal === 'anonymous') return;
    this.#live.delete(key(caller.principal, repository));
    if (proofOf(await this.#record(repository), caller.principal) === undefined) return;
    await this.#update(repository, (record) => withoutProof(record, caller.principal));
  }

  async #setPublic(repository: Repository, isPublic: boolean): Promise<void> {
    const now = Date.now();
    const known = (await this.#record(repository)).public;
    if (isPublic && (known === undefined || now - known.checked > PUBLIC_RECHECK / 2)) {
      await this.#update(repository, (record) => withPublic(record, now));
    }
    if (!isPublic && known !== undefined) await this.#update(repository, withoutPublic);
  }

  /** One anonymous HEAD of our own, behind the caller's back, at most hourly for a repository. */
  #probeAnonymously(repository: Repository, probe: Probe): void {
    const name = namespaced(repository);
    if (Date.now() - (this.#probed.get(name) ?? 0) < RETRY_PROBE) return;
    this.#remember(this.#probed, name, Date.now());
    this.#probe(repository, probe).catch((error: unknown) => {
      publish('notice', { level: 'debug', message: `could not ask whether ${name} is public`, error });
    });
  }

  async #probe(repository: Repository, probe: Probe): Promise<void> {
    const signal = AbortSignal.timeout(PROBE_TIMEOUT);
    const response = await this.#upstream(repository.upstream).request({
      ...probe,
      method: 'HEAD',
      repository: repository.name,
      identity: { kind: 'anonymous' },
      signal,
    });
    response.body.destroy();
    if (response.status === 200) await this.#setPublic(repository, true);
    if (response.status === 401 || response.status === 403) await this.#setPublic(repository, false);
  }

  #record(repository: Repository): Promise<AccessRecord> {
    const name = namespaced(repository);
    let record = this.#records.get(name);
    if (record === undefined) {
      record = this.#content.access(repository).then((found) => found ?? { proofs: {} });
      this.#remember(this.#records, name, record);
    }
    return record;
  }

  /** What is known counts even where it cannot be written down. */
  async #update(repository: Repository, change: (record: AccessRecord | undefined) => AccessRecord): Promise<void> {
    const name = namespaced(repository);
    const known = await this.#record(repository);
    this.#remember(this.#records, name, Promise.resolve(change(known)));
    try {
      await this.#content.updateAccess(repository, change);
    } catch (error) {
      publish('notice', { level: 'error', message: `cannot record who may read ${name}`, error });
    }
  }

  #remember<Value>(map: Map<string, Value>, name: string, value: Value): void {
    map.delete(name);
    map.set(name, value);
    if (map.size <= MAX_REMEMBERED) return;
    for (const oldest of map.keys()) {
      map.delete(oldest);
      break;
    }
  }
}

function key(principal: Principal, repository: Repository): string {
  return `${principal} ${namespaced(repository)}`;
}
