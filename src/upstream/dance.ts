import { publish } from '../events.ts';
import { type Challenge, parseChallenges } from '../oci/challenge.ts';
import { formatScope, parseScope, pullScope } from '../oci/scope.ts';
import type { UpstreamOptions } from './contract.ts';
import type { TokenServer } from './token-server.ts';
import { type TokenRequest, Tokens, tokenUrl } from './tokens.ts';
import { checkForeignRealm, checkRealm } from './trust.ts';
import { type Answer, discard } from './wire.ts';

/** A request that may have to show a token. */
export interface Step {
  readonly url: URL;
  /** At the upstream itself, or at another registry that a redirect led to. */
  readonly own: boolean;
  /** The upstream's own URL is http or private; asked only when it matters. */
  readonly lax: () => Promise<boolean>;
  readonly repository: string;
  /** `anonymous`, or the id of an account of ours. */
  readonly principal: string;
  readonly signal: AbortSignal;
}

/** What a challenge asks for. */
type Demand = { readonly scheme: 'basic' } | ({ readonly scheme: 'bearer' } & Omit<TokenRequest, 'principal'>);

/** What is shown in answer to a demand; without `authorization` the demand cannot be met. */
interface Proof {
  readonly demand: Demand;
  readonly authorization?: string;
  readonly fresh: boolean;
}

const LIMIT = 10_000;
/** Milliseconds before the configured account is tried again for what it was denied. */
const DENIED_FOR = 5 * 60_000;

/** Answers challenges: asks, shows what was demanded, and the next time shows it at once. */
export class Dance {
  readonly #options: UpstreamOptions;
  readonly #tokens: Tokens;
  /** By origin, and by origin and repository. */
  readonly #demands = new Map<string, Demand>();
  /** When an account was denied a token, by the account and where and for what it was asked. */
  readonly #denied = new Map<string, number>();
  /** The accounts that the token server refused last. */
  readonly #refused = new Set<string>();

  constructor(options: UpstreamOptions, server: TokenServer, closed: AbortSignal) {
    this.#options = options;
    this.#tokens = new Tokens(async (request, signal) => {
      const { principal } = request;
      const guarded = request.guarded || options.guarded === true;
      const authorization = this.#basic(principal);
      const answer = await server.ask({ method: 'GET', url: tokenUrl(request), authorization, guarded, signal });
      if (authorization !== undefined) this.#notice(principal, answer.status >= 300);
      return answer;
    }, closed);
  }

  /** The answer to `send`, repeated at most once with what the registry demands; a 401 that stays is an answer. */
  async perform(step: Step, send: (authorization?: string) => Promise<Answer>): Promise<Answer> {
    const shown = await this.#remembered(step);
    const answer = await send(shown?.authorization);
    if (answer.status !== 401) return answer;
    const proof = await this.#meet(step, answer.challenges, shown);
    if (proof?.authorization === undefined) return answer;
    discard(answer);
    return send(proof.authorization);
  }

  async #remembered(step: Step): Promise<Proof | undefined> {
    const demand = this.#demands.get(keyOf(step)) ?? this.#usual(step);
    return demand && this.#prove(step, demand);
  }

  /** What this upstream asks for as a rule, put for a repository not seen before. */
  #usual(step: Step): Demand | undefined {
    const demand = step.own ? this.#demands.get(step.url.origin) : undefined;
    return demand?.scheme === 'bearer' ? { ...demand, scopes: [pullScope(step.repository)] } : demand;
  }

  async #meet(step: Step, lines: readonly string[], shown: Proof | undefined): Promise<Proof | undefined> {
    const demand = await this.#read(step, parseChallenges(lines));
    if (demand === undefined) return undefined;
    if (shown !== undefined && isSame(demand, shown.demand)) {
      if (shown.fresh || shown.authorization === undefined) return undefined;
      this.#forget(step, shown);
    }
    this.#remember(this.#demands, keyOf(step), demand);
    if (step.own) this.#remember(this.#demands, step.url.origin, demand);
    return this.#prove(step, demand);
  }

  async #read(step: Step, challenges: readonly Challenge[]): Promise<Demand | undefined> {
    const bearer = challenges.find(({ scheme, params }) => scheme === 'bearer' && params.has('realm'));
    if (bearer === undefined) {
      const basic = step.own && challenges.some(({ scheme }) => scheme === 'basic');
      return basic ? { scheme: 'basic' } : undefined;
    }
    const [lax, text] = [await step.lax(), bearer.params.get('realm') ?? ''];
    const realm = step.own
      ? checkRealm(text, this.#options, lax)
      : checkForeignRealm(text, step.url, this.#options, lax);
    const scopes = (bearer.params.get('scope') ?? '').split(' ').filter(Boolean).map(pullOnly);
    return { scheme: 'bearer', realm, service: bearer.params.get('service'), scopes, guarded: !step.own && !lax };
  }

  async #prove(step: Step, demand: Demand): Promise<Proof> {
    if (demand.scheme === 'basic') {
      const authorization = this.#basic(step.principal);
      return { demand, fresh: true, ...(authorization !== undefined && { authorization }) };
    }
    const denial = `${step.principal} ${tokenUrl(demand).href}`;
    const request = { ...demand, principal: this.#isDenied(denial) ? 'anonymous' : step.principal };
    const token = await this.#tokens.get(request, step.signal);
    if (token !== undefined) return { demand, fresh: token.fresh, authorization: `Bearer ${token.value}` };
    if (request.principal === 'anonymous') return { demand, fresh: true };
    this.#remember(this.#denied, denial, performance.now());
    return this.#prove(step, demand);
  }

  /** What an account is denied, anybody may still be given. */
  #isDenied(denial: string): boolean {
    const at = this.#denied.get(denial);
    return at !== undefined && performance.now() - at < DENIED_FOR;
  }

  #forget(step: Step, { demand, authorization }: Proof): void {
    if (demand.scheme !== 'bearer' || authorization === undefined) return;
    for (const principal of new Set([step.principal, 'anonymous']))
      this.#tokens.forget({ ...demand, principal }, authorization.slice('Bearer '.length));
  }

  #remember<Value>(map: Map<string, Value>, key: string, value: Value): void {
    map.delete(key);
    map.set(key, value);
    for (const oldest of map.keys()) {
      if (map.size <= LIMIT) break;
      map.delete(oldest);
    }
  }

  #basic(principal: string): string | undefined {
    const account = this.#options.accounts?.[principal];
    return account && `Basic ${Buffer.from(`${account.username}:${account.password}`).toString('base64')}`;
  }

  #notice(principal: string, refused: boolean): void {
    if (!refused) return void this.#refused.delete(principal);
    if (this.#refused.has(principal)) return;
    this.#refused.add(principal);
    const message = `${this.#options.name}: the token server refuses the configured credentials`;
    publish('notice', { level: 'warn', message });
  }
}

function keyOf(step: Step): string {
  return `${step.url.origin} ${step.repository}`;
}

/** Less than what was offered when more than pulling was: nothing here ever pushes. */
function pullOnly(text: string): string {
  const scope = parseScope(text);
  return scope?.type === 'repository' ? formatScope({ ...scope, actions: ['pull'] }) : text;
}

function isSame(a: Demand, b: Demand): boolean {
  if (a.scheme === 'basic' || b.scheme === 'basic') return a.scheme === b.scheme;
  return tokenUrl(a).href === tokenUrl(b).href;
}
