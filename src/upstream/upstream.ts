import { publish } from '../events.ts';
import { type Challenge, parseChallenges } from '../oci/challenge.ts';
import { MODERN_ACCEPT } from '../oci/media-type.ts';
import { hostOf, portOf } from './address.ts';
import { Breaker } from './breaker.ts';
import { parseBudget } from './budget.ts';
import {
  type PingRecord,
  principalOf,
  UpstreamError,
  type UpstreamOptions,
  type UpstreamRequest,
  type UpstreamResponse,
} from './contract.ts';
import { CoolDown } from './cool-down.ts';
import { Dance } from './dance.ts';
import { Failover } from './failover.ts';
import type { Network } from './network.ts';
import { type Journey, Redirects } from './redirects.ts';
import { type TokenAnswer, TokenServer } from './token-server.ts';
import { checkRealm } from './trust.ts';
import { throwIfFailed } from './verdict.ts';
import { type Answer, readBody, Wire } from './wire.ts';

/** A client's own request for a token, to be relayed. */
export interface TokenRelay {
  readonly method: 'GET' | 'POST';
  readonly query: URLSearchParams;
  readonly authorization?: string | undefined;
  readonly accept?: string | undefined;
  /** The form of a POST (distribution, docs/spec/auth/oauth.md). */
  readonly body?: Uint8Array | undefined;
  readonly contentType?: string | undefined;
  readonly signal: AbortSignal;
}

const PROBE_TIMEOUT = 5_000;
const PING_LIMIT = 65_536;
const AWAY = 'cannot be reached; it is tried again every second';
const BACK = 'can be reached again';

/** One remote registry. All of its failures are UpstreamErrors; a request whose signal is aborted throws its reason. */
export class Upstream implements AsyncDisposable {
  readonly name: string;
  readonly #options: UpstreamOptions;
  readonly #breakers = new Map<string, Breaker>();
  readonly #failover: Failover;
  readonly #coolDown: CoolDown;
  readonly #wire: Wire;
  readonly #tokenServer: TokenServer;
  readonly #redirects: Redirects;
  readonly #closed = new AbortController();
  #last: { readonly challenges: readonly Challenge[]; readonly base: URL } | undefined;

  constructor(options: UpstreamOptions, network: Network) {
    const { name, ca, clientCert, urls, tokenHosts, parallel = 1 } = options;
    this.name = name;
    this.#options = options;
    const breakerOf = (origin: string): Breaker | undefined => this.#breakers.get(origin);
    this.#failover = new Failover(
      name,
      urls.map((url) => ({ url, breaker: this.#guard(url, network) })),
    );
    for (const host of tokenHosts) {
      for (const scheme of ['https', 'http']) this.#guard(new URL(`${scheme}://${host}`), network);
    }
    this.#coolDown = new CoolDown(name);
    const trusted = [...urls, ...tokenHosts.map((host) => new URL(`https://${host}`))].map(({ origin }) => origin);
    this.#wire = new Wire({ name, ca, clientCert, parallel, trusted, network, watch: breakerOf });
    this.#tokenServer = new TokenServer(name, this.#wire, breakerOf);
    const dance = new Dance(options, this.#tokenServer, this.#closed.signal);
    this.#redirects = new Redirects(options, network, this.#wire, dance);
  }

  /** Whether a request would be sent at all; false while every base URL is known to be unreachable. */
  get available(): boolean {
    return this.#failover.available;
  }

  /** Over how many connections one blob may come: more requests than one are not made where they are limited. */
  get parallel(): number {
    const { limit, parallel = 1 } = this.#options;
    return limit?.isSet === true ? 1 : parallel;
  }

  /** The challenge last seen on a live answer of this upstream, or the one remembered from an earlier run. */
  challenge(): Challenge | undefined {
    const challenges = this.#last?.challenges;
    return challenges?.find(({ scheme }) => scheme === 'bearer') ?? challenges?.[0];
  }

  /** Takes over what a ping said before a restart, until a live answer says something else. */
  remember(record: PingRecord): void {
    const [base] = this.#options.urls;
    if (base !== undefined) this.#last ??= { base, challenges: parseChallenges(record.challenges) };
  }

  /** The answer to a request after tokens, redirects, retries and fail-over. */
  async request(request: UpstreamRequest): Promise<UpstreamResponse> {
    const { kind, method, path, repository, identity, signal, headTimeout } = request;
    const headers = headersOf(request);
    const journey = { kind, method, path, repository, identity, headers, signal, headTimeout };
    return this.#paced(principalOf(identity), async () => {
      const { answer, base } = await this.#ask(journey);
      if (answer.status === 401 && answer.url.origin === base.origin) this.#learn(answer, base);
      const { status, headers, challenges } = answer;
      const isBulk = kind === 'blob' && method === 'GET';
      const line = isBulk ? this.#options.limit?.bandwidth : undefined;
      return { status, headers, challenges, body: line?.pace(answer.body) ?? answer.body };
    });
  }

  /** What `/v2/` says now, to a caller with this Authorization header or to nobody in particular. */
  async ping(authorization?: string, signal: AbortSignal = this.#closed.signal): Promise<PingRecord> {
    const identity: Journey['identity'] =
      authorization === undefined ? { kind: 'bare' } : { kind: 'forward', authorization, principal: '' };
    const headers = { 'user-agent': 'layover' };
    const { answer, base } = await this.#ask({
      kind: 'ping',
      method: 'GET',
      path: '/v2/',
      repository: '',
      identity,
      headers,
      signal,
    });
    this.#learn(answer, base);
    const bytes = await readBody(answer.body, PING_LIMIT);
    publish('upstreamBytes', { upstream: this.name, bytes: bytes?.length ?? 0 });
    return { status: answer.status, challenges: answer.challenges };
  }

  /**
   * Relays a client's token request to the token server that the upstream's challenge names. Throws UpstreamError
   * when that server may not be asked (`protocol`), or does not answer below 500 and other than 408 and 429.
   */
  async token(relay: TokenRelay): Promise<TokenAnswer> {
    if (this.challenge() === undefined) await this.ping(undefined, relay.signal);
    const challenge = this.challenge();
    const realm = challenge?.scheme === 'bearer' ? challenge.params.get('realm') : undefined;
    if (realm === undefined || this.#last === undefined) {
      throw new UpstreamError('protocol', `${this.name} issues no tokens`);
    }
    const url = checkRealm(realm, this.#options, await this.#redirects.isLax(this.#last.base));
    for (const key of new Set(relay.query.keys())) url.searchParams.delete(key);
    for (const [key, value] of relay.query) url.searchParams.append(key, value);
    const { method, authorization, accept, signal } = relay;
    const form = method === 'POST' ? { body: relay.body, contentType: relay.contentType } : {};
    const guarded = this.#options.guarded === true;
    return this.#tokenServer.ask({ method, url, authorization, accept, ...form, guarded, signal });
  }

  /** Ends all connections and timers. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed.abort();
    for (const breaker of this.#breakers.values()) breaker[Symbol.dispose]();
    await this.#wire[Symbol.asyncDispose]();
  }

  #ask(journey: Omit<Journey, 'base'>): Promise<{ readonly answer: Answer; readonly base: URL }> {
    return this.#failover.run(async (base) => {
      const answer = await this.#redirects.follow({ ...journey, base });
      this.#tellBudget(journey.identity, answer, base);
      await throwIfFailed(answer);
      return { answer, base };
    }, journey.signal);
  }

  #tellBudget(asker: Journey['identity'], answer: Answer, base: URL): void {
    if (answer.url.origin !== base.origin) return;
    const budget = parseBudget(answer.headers, Date.now());
    const accounts = Object.keys(this.#options.accounts ?? {});
    const account = asker.kind === 'configured' ? accounts.indexOf(asker.account) : 0;
    const kind = asker.kind === 'bare' ? 'anonymous' : asker.kind;
    const identity = account > 0 ? `${kind}-${account + 1}` : kind;
    if (budget !== undefined) publish('budget', { upstream: this.name, identity, ...budget });
  }

  async #paced<T>(principal: string, work: () => Promise<T>): Promise<T> {
    this.#coolDown.check(principal);
    try {
      return await work();
    } catch (error) {
      this.#coolDown.note(principal, error);
      throw error;
    }
  }

  #learn(answer: Answer, base: URL): void {
    this.#last = { base, challenges: parseChallenges(answer.challenges) };
  }

  #guard(url: URL, network: Network): Breaker {
    const made = this.#breakers.get(url.origin);
    if (made !== undefined) return made;
    const target = { host: hostOf(url), port: portOf(url), secure: url.protocol === 'https:', timeout: PROBE_TIMEOUT };
    const probe = async (): Promise<void> => {
      const { ca, clientCert, guarded = false } = this.#options;
      const socket = await network.connect({ ...target, ca, clientCert, guarded });
      socket.destroy();
    };
    const breaker = new Breaker(probe, (state) => {
      publish('breaker', { upstream: this.name, origin: url.origin, state });
      if (state === 'half-open') return;
      const [level, news] = state === 'open' ? (['warn', AWAY] as const) : (['info', BACK] as const);
      publish('notice', { level, message: `${this.name}: ${url.host} ${news}` });
    });
    this.#breakers.set(url.origin, breaker);
    return breaker;
  }
}

/** Everything an upstream gets to see of a request, and no more. */
function headersOf({ kind, accept, range, userAgent }: UpstreamRequest): Record<string, string> {
  const types = accept ?? (kind === 'manifest' ? MODERN_ACCEPT : []);
  return {
    'user-agent': userAgent ?? 'layover',
    ...(types.length > 0 && { accept: types.join(', ') }),
    ...(range !== undefined && { range: `bytes=${range.start}-${range.end === undefined ? '' : range.end - 1}` }),
  };
}
