import { publish } from '../events.ts';
import { namespaced, type Repository } from '../oci/route.ts';
import type { Content } from '../store/content.ts';
import { type AccessRecord, proofOf, withoutProof, withoutPublic, withProof, withPublic } from '../store/records.ts';
import { type Identity, UpstreamError, type UpstreamRequest } from '../upstream/contract.ts';
import type { Upstream } from '../upstream/upstream.ts';
import type { Caller, Principal } from './principal.ts';
import { Proofs } from './proofs.ts';
import { Recent } from './recent.ts';

/** Why somebody may read a repository: anyone may, this principal may, or the configured account serves it. */
export type Grant = 'public' | 'proven' | 'served';

/** How to ask an upstream about a piece of content, without saying as whom. */
export type Probe = Pick<UpstreamRequest, 'kind' | 'path'>;

export interface AccessPolicy {
  /** Milliseconds for which a proof still counts while the upstream cannot be asked; 0: never. */
  readonly offline: number;
  /** The account of ours that is for a repository, and whether it serves it to everybody. */
  readonly account: (repository: Repository) => { readonly id: string; readonly serves: boolean } | undefined;
}

/** Milliseconds a proof counts without asking again; a token that ends earlier ends it earlier. */
const GRANT_LIFE = 5 * 60_000;
const PUBLIC_RECHECK = 24 * 3_600_000;
const RETRY_PROBE = 3_600_000;
const PROBE_TIMEOUT = 20_000;
const REMEMBERED = 50_000;

/**
 * Whose bytes these are. Content is shared by digest, permission is not: a repository is readable by whom its
 * upstream let read it, proven here by the upstream's own answers.
 */
export class Access {
  readonly #proofs: Proofs;
  readonly #policy: AccessPolicy;
  readonly #upstream: (name: string) => Upstream;
  readonly #now: () => number;
  /** Live proofs, `principal repository` → epoch milliseconds of their end. */
  readonly #live = new Recent<{ readonly since: number; readonly until: number }>(REMEMBERED);
  /** When a repository was last probed anonymously. */
  readonly #probed = new Recent<number>(REMEMBERED);
  /** When a repository last refused an account of ours, by both. */
  readonly #declined = new Recent<number>(REMEMBERED);

  /** `now`: epoch milliseconds. */
  constructor(content: Content, policy: AccessPolicy, upstream: (name: string) => Upstream, now = Date.now) {
    this.#proofs = new Proofs(content);
    this.#policy = policy;
    this.#upstream = upstream;
    this.#now = now;
  }

  /**
   * Whether `caller` may read what is linked into `repository` without asking the upstream again. With `offline`, the
   * upstream cannot be asked, and an older proof counts too. `probe` lets us ask whether a public repository still is.
   */
  async grant(caller: Caller, repository: Repository, probe?: Probe, offline = false): Promise<Grant | undefined> {
    const record = await this.#proofs.of(repository);
    const now = this.#now();
    if (record.public !== undefined) {
      if (probe !== undefined && !isWithin(record.public.checked, now, PUBLIC_RECHECK))
        this.#probeAnonymously(repository, probe);
      return 'public';
    }
    const account = this.#policy.account(repository);
    const served = account?.serves === true ? proofOf(record, ownPrincipal(account.id)) : undefined;
    if (served !== undefined && (offline || isWithin(served, now, GRANT_LIFE))) return 'served';
    if (caller.principal === 'anonymous') return undefined;
    const live = this.#live.get(key(caller.principal, repository));
    if (live !== undefined && live.since <= now && now < live.until) return 'proven';
    return (offline || caller.offline === true) && this.#bridges(record, caller) ? 'proven' : undefined;
  }

  async isPublic(repository: Repository): Promise<boolean> {
    return (await this.#proofs.of(repository)).public !== undefined;
  }

  /**
   * As whom to ask the upstream for this caller. Throws an UpstreamError where nobody can be asked: a token of ours
   * stands for a credential that we do not have.
   */
  async identity(caller: Caller, repository: Repository): Promise<Identity> {
    const { authorization, principal } = caller;
    const account = this.#trustedAccount(repository);
    if (account?.serves === true) return { kind: 'configured', account: account.id };
    if (authorization !== undefined && principal !== 'anonymous') return { kind: 'forward', authorization, principal };
    const record = await this.#proofs.of(repository);
    if (record.public !== undefined) {
      return account === undefined ? { kind: 'anonymous' } : { kind: 'configured', account: account.id };
    }
    if (caller.offline === true && this.#bridges(record, caller)) {
      throw new UpstreamError('unreachable', 'the token service could not be reached, so nobody can be asked');
    }
    return authorization === undefined ? { kind: 'anonymous' } : { kind: 'forward', authorization, principal };
  }

  /** Records that the upstream let `identity` read from `repository`. */
  async proved(caller: Caller, identity: Identity, repository: Repository, probe: Probe): Promise<void> {
    publish('proof', { upstream: repository.upstream, result: 'granted' });
    if (identity.kind === 'configured') {
      if (this.#policy.account(repository)?.serves === true)
        await this.#record(repository, ownPrincipal(identity.account));
      return;
    }
    if (identity.kind === 'anonymous' || identity.principal === 'anonymous') return this.#setPublic(repository, true);
    const since = this.#now();
    const until = Math.min(since + GRANT_LIFE, caller.expires ?? Number.POSITIVE_INFINITY);
    this.#live.set(key(caller.principal, repository), { since, until });
    await this.#record(repository, caller.principal);
    if (!(await this.isPublic(repository))) this.#probeAnonymously(repository, probe);
  }

  /**
   * Records that the upstream refused `identity`: what was proven before is withdrawn. An anonymous token proves
   * nothing that way, since it may be one for another repository; our own anonymous requests do.
   */
  async refused(caller: Caller, identity: Identity, repository: Repository): Promise<void> {
    publish('proof', { upstream: repository.upstream, result: 'refused' });
    if (identity.kind === 'anonymous') return this.#setPublic(repository, false);
    if (identity.kind === 'forward') return this.withdraw(caller.principal, repository);
    this.#declined.set(`${identity.account} ${namespaced(repository)}`, this.#now());
    await this.#erase(repository, ownPrincipal(identity.account));
  }

  /** Forgets that `principal` was let read `repository`. */
  async withdraw(principal: Principal, repository: Repository): Promise<void> {
    if (principal === 'anonymous') return;
    this.#live.delete(key(principal, repository));
    await this.#erase(repository, principal);
  }

  /** Whether this repository is served to everybody by an account of ours, as far as that may read it. */
  isServed(repository: Repository): boolean {
    return this.#trustedAccount(repository)?.serves === true;
  }

  #bridges(record: AccessRecord, { principal }: Caller): boolean {
    return isWithin(proofOf(record, principal), this.#now(), this.#policy.offline);
  }

  async #record(repository: Repository, principal: string): Promise<void> {
    const now = this.#now();
    const at = proofOf(await this.#proofs.of(repository), principal);
    if (!isWithin(at, now, GRANT_LIFE))
      await this.#proofs.update(repository, (record) => withProof(record, principal, now));
  }

  async #erase(repository: Repository, principal: string): Promise<void> {
    if (proofOf(await this.#proofs.of(repository), principal) === undefined) return;
    await this.#proofs.update(repository, (record) => withoutProof(record, principal));
  }

  #trustedAccount(repository: Repository): ReturnType<AccessPolicy['account']> {
    const account = this.#policy.account(repository);
    const declined = account && this.#declined.get(`${account.id} ${namespaced(repository)}`);
    return isWithin(declined, this.#now(), GRANT_LIFE) ? undefined : account;
  }

  async #setPublic(repository: Repository, isPublic: boolean): Promise<void> {
    const now = this.#now();
    const known = (await this.#proofs.of(repository)).public;
    if (isPublic && !isWithin(known?.checked, now, PUBLIC_RECHECK / 2)) {
      await this.#proofs.update(repository, (record) => withPublic(record, now));
    }
    if (!isPublic && known !== undefined) await this.#proofs.update(repository, withoutPublic);
  }

  /** One anonymous HEAD of our own, behind the caller's back, at most hourly for a repository. */
  #probeAnonymously(repository: Repository, probe: Probe): void {
    const name = namespaced(repository);
    const now = this.#now();
    if (isWithin(this.#probed.get(name), now, RETRY_PROBE)) return;
    this.#probed.set(name, now);
    this.#probe(repository, probe).catch((error: unknown) => {
      publish('notice', { level: 'debug', message: `could not ask whether ${name} is public`, error });
    });
  }

  async #probe(repository: Repository, probe: Probe): Promise<void> {
    const status = await this.#askAnonymously(repository, { ...probe, method: 'HEAD' });
    if (status !== 404) return this.#learn(repository, status);
    // Gone, or hidden from strangers: what else the repository lets them see tells which.
    const path = `/v2/${repository.name}/tags/list?n=1`;
    const listed = await this.#askAnonymously(repository, { kind: 'tags', path, method: 'GET' });
    await this.#learn(repository, listed === 404 ? 401 : listed);
  }

  async #learn(repository: Repository, status: number): Promise<void> {
    if (status === 200) await this.#setPublic(repository, true);
    if (status === 401 || status === 403) await this.#setPublic(repository, false);
  }

  async #askAnonymously(repository: Repository, question: Probe & { method: 'GET' | 'HEAD' }): Promise<number> {
    const response = await this.#upstream(repository.upstream).request({
      ...question,
      repository: repository.name,
      identity: { kind: 'anonymous' },
      signal: AbortSignal.timeout(PROBE_TIMEOUT),
    });
    response.body.destroy();
    return response.status;
  }
}

/** An account of ours among the principals of a record. */
function ownPrincipal(account: string): string {
  return `configured:${account}`;
}

function key(principal: Principal, repository: Repository): string {
  return `${principal} ${namespaced(repository)}`;
}

/** Whether `at` lies less than `span` back. What a clock that was set back calls the future does not. */
function isWithin(at: number | undefined, now: number, span: number): boolean {
  return at !== undefined && at <= now && now - at < span;
}
