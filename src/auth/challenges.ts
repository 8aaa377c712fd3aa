import { publish } from '../events.ts';
import { type Challenge, formatChallenge, parseChallenges } from '../oci/challenge.ts';
import { TOKEN_PATH } from '../oci/route.ts';
import { pullScope } from '../oci/scope.ts';
import type { Content } from '../store/content.ts';
import { tellFailed } from '../store/trouble.ts';
import type { PingRecord } from '../upstream/contract.ts';
import type { Upstream } from '../upstream/upstream.ts';
import { Recent } from './recent.ts';

/** Milliseconds a ping's answer is repeated before it is asked for again. */
const PING_LIFE = 60_000;
const REMEMBERED = 1_000;

/**
 * What an upstream demands of its clients, as its clients see it: one challenge a host, the same whether it is live or
 * remembered, its realm being ours so that tokens are fetched through us.
 */
export class Challenges {
  readonly #content: Content;
  readonly #upstream: (name: string) => Upstream;
  readonly #verbatim: (upstream: string) => boolean;
  readonly #pings = new Recent<{ readonly record: PingRecord; readonly at: number }>(REMEMBERED);
  readonly #asking = new Map<string, Promise<PingRecord>>();

  /** `verbatim`: whether an upstream's clients get its own realm. */
  constructor(content: Content, upstream: (name: string) => Upstream, verbatim: (upstream: string) => boolean) {
    this.#content = content;
    this.#upstream = upstream;
    this.#verbatim = verbatim;
  }

  /** What `/v2/` answers to somebody without a credential; remembered on disk for the time the upstream is gone. */
  async ping(name: string): Promise<PingRecord> {
    const upstream = this.#upstream(name);
    const known = this.#pings.get(upstream.name);
    if (known !== undefined && Date.now() - known.at < PING_LIFE) return known.record;
    const remembered = known?.record ?? (await this.#remembered(upstream));
    const asking = this.#ask(upstream);
    if (remembered === undefined) return asking;
    asking.catch((error: unknown) => this.#excuse(upstream.name, error));
    return remembered;
  }

  /** Asks an upstream once what `/v2/` answers, behind the caller's back, for clients that come when it is gone. */
  learn(name: string): void {
    if (this.#pings.get(name) !== undefined) return;
    this.ping(name).catch((error: unknown) => this.#excuse(name, error));
  }

  /** What `/v2/` answers to this credential right now: how clients check a login. */
  check(upstream: string, authorization: string, signal: AbortSignal): Promise<PingRecord> {
    return this.#upstream(upstream).ping(authorization, signal);
  }

  /** The one WWW-Authenticate line for a client of `origin`, of the lines an upstream sent; `undefined` for none. */
  rewrite(upstream: string, origin: string, lines: readonly string[]): string | undefined {
    const challenges = parseChallenges(lines);
    const bearer = challenges.find((challenge) => challenge.scheme === 'bearer');
    const chosen = bearer ?? challenges.find((challenge) => challenge.scheme === 'basic') ?? challenges[0];
    if (chosen === undefined) return undefined;
    if (bearer === undefined || this.#verbatim(upstream)) return formatChallenge(chosen);
    return formatChallenge(withRealm(bearer, origin, ['service', 'scope', 'error']));
  }

  /** The challenge for a pull of `name` by somebody who brought no credential; `undefined` where none is needed. */
  async forPull(upstream: string, origin: string, name: string): Promise<string | undefined> {
    const { status, challenges } = await this.ping(upstream);
    if (status !== 401) return undefined;
    const bearer = parseChallenges(challenges).find((challenge) => challenge.scheme === 'bearer');
    if (bearer === undefined) return this.rewrite(upstream, origin, challenges);
    const params = new Map(bearer.params).set('scope', pullScope(name));
    params.delete('error');
    return this.rewrite(upstream, origin, [formatChallenge({ scheme: 'bearer', params })]);
  }

  #ask(upstream: Upstream): Promise<PingRecord> {
    const running = this.#asking.get(upstream.name);
    if (running !== undefined) return running;
    const asking = this.#askOnce(upstream).finally(() => this.#asking.delete(upstream.name));
    this.#asking.set(upstream.name, asking);
    return asking;
  }

  async #askOnce(upstream: Upstream): Promise<PingRecord> {
    const record = await upstream.ping();
    if (toPingRecord(record) === undefined) return record;
    const before = this.#pings.get(upstream.name)?.record;
    this.#pings.set(upstream.name, { record, at: Date.now() });
    if (JSON.stringify(before) !== JSON.stringify(record)) await this.#keep(upstream.name, record);
    return record;
  }

  #excuse(upstream: string, error: unknown): void {
    publish('notice', { level: 'debug', message: `${upstream} did not answer /v2/`, error });
  }

  async #keep(upstream: string, record: PingRecord): Promise<void> {
    try {
      await this.#content.putUpstreamRecord(upstream, record);
    } catch (error) {
      tellFailed(`cannot remember what ${upstream} answers to /v2/`, error);
    }
  }

  async #remembered(upstream: Upstream): Promise<PingRecord | undefined> {
    const record = toPingRecord(await this.#content.upstreamRecord(upstream.name));
    if (record === undefined) return undefined;
    this.#pings.set(upstream.name, { record, at: 0 });
    upstream.remember(record);
    return record;
  }
}

function withRealm(challenge: Challenge, origin: string, kept: readonly string[]): Challenge {
  const params = new Map([['realm', `${origin}${TOKEN_PATH}`]]);
  for (const name of kept) {
    const value = challenge.params.get(name);
    if (value !== undefined) params.set(name, value);
  }
  return { scheme: challenge.scheme, params };
}

function toPingRecord(value: unknown): PingRecord | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { status, challenges } = value as Partial<PingRecord>;
  return (status === 200 || status === 401) && Array.isArray(challenges) ? { status, challenges } : undefined;
}
