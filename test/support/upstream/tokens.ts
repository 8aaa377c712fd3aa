import { randomBytes } from 'node:crypto';
import { text } from 'node:stream/consumers';
import { type Answer, type Exchange, failure, json } from './exchange.ts';
import type { Realm } from './profile.ts';

/** What a token says: who asked for it and which scopes were granted, such as `repository:library/nginx:pull`. */
export interface Grant {
  readonly user: string | undefined;
  readonly scopes: readonly string[];
  /** Milliseconds since the epoch. */
  readonly expires: number;
}

/** The tokens given out and still good. */
export class Tokens {
  /** Seconds. */
  readonly life: number;
  /** Tokens given out since the start or the last reset of the counters. */
  issued = 0;
  readonly #grants = new Map<string, Grant>();
  readonly #refresh = new Map<string, string>();

  constructor(life: number) {
    this.life = life;
  }

  issue(user: string | undefined, scopes: readonly string[]): string {
    this.issued++;
    const token = `token-${randomBytes(24).toString('base64url')}`;
    this.#grants.set(token, { user, scopes, expires: Date.now() + this.life * 1000 });
    return token;
  }

  find(token: string): Grant | undefined {
    const grant = this.#grants.get(token);
    return grant !== undefined && grant.expires > Date.now() ? grant : undefined;
  }

  issueRefresh(user: string): string {
    const token = `refresh-${randomBytes(24).toString('base64url')}`;
    this.#refresh.set(token, user);
    return token;
  }

  userOf(refreshToken: string): string | undefined {
    return this.#refresh.get(refreshToken);
  }

  /** From now on every token given out before is refused. */
  expire(): void {
    this.#grants.clear();
  }
}

/** The user and password of a Basic header; `undefined` when there is none. */
export function parseBasic(header: string | undefined): { user: string; password: string } | undefined {
  const match = /^basic\s+(.+)$/i.exec(header ?? '');
  if (match === null) return undefined;
  const [user = '', ...rest] = Buffer.from(match[1] ?? '', 'base64')
    .toString()
    .split(':');
  return { user, password: rest.join(':') };
}

/** The token endpoint (distribution, docs/content/spec/auth/token.md and oauth.md). */
export async function answerToken(exchange: Exchange, realm: Realm): Promise<Answer> {
  const { site, method, query, request } = exchange;
  if (method === 'POST' && realm.post !== 'accepted') {
    return failure(realm.post, 'UNSUPPORTED', 'this token server knows GET alone');
  }
  const form = method === 'POST' ? new URLSearchParams(await text(request)) : undefined;
  const caller = form === undefined ? byBasic(exchange) : byForm(exchange, form);
  if (caller === 'wrong') {
    return realm.excess === 'denied'
      ? failure(403, 'DENIED', 'denied: denied')
      : json(401, { details: 'incorrect username or password' });
  }
  // the scope of a ping's challenge is a placeholder, for which an account gets a token that opens nothing
  const placeholder = caller === undefined ? undefined : realm.pingScope;
  const asked = (form ?? query)
    .getAll('scope')
    .flatMap((line) => line.split(' ').filter((scope) => scope !== '' && scope !== placeholder));
  const granted = asked.flatMap((scope) => grantable(exchange, caller, scope));
  if (realm.excess === 'denied' && granted.length < asked.length) {
    return failure(403, 'DENIED', 'requested access to the resource is denied');
  }
  const token = site.tokens.issue(caller, granted);
  const body = realm.body(token, site.tokens.life, new Date());
  const offline = (form ?? query).get('offline_token') === 'true' || form?.get('access_type') === 'offline';
  // Only who takes refresh tokens by POST hands them out.
  if (offline && caller !== undefined && realm.post === 'accepted')
    body.refresh_token = site.tokens.issueRefresh(caller);
  return json(200, body);
}

function byBasic({ site, request }: Exchange): string | undefined | 'wrong' {
  const basic = parseBasic(request.headers.authorization);
  if (basic === undefined) return undefined;
  return site.users.get(basic.user) === basic.password ? basic.user : 'wrong';
}

function byForm({ site }: Exchange, form: URLSearchParams): string | undefined | 'wrong' {
  if (form.get('grant_type') === 'refresh_token') {
    return site.tokens.userOf(form.get('refresh_token') ?? '') ?? 'wrong';
  }
  const user = form.get('username') ?? '';
  return site.users.get(user) === form.get('password') ? user : 'wrong';
}

/** The part of a scope that the caller may have, as a list of none or one. */
function grantable({ site }: Exchange, user: string | undefined, scope: string): string[] {
  const name = scope.slice(scope.indexOf(':') + 1, scope.lastIndexOf(':'));
  const actions = scope.slice(scope.lastIndexOf(':') + 1).split(',');
  if (!scope.startsWith('repository:')) return [];
  // Who is about to make a repository may look for blobs in it before it is there.
  const makes = actions.includes('push') && site.repositories.get(name) === undefined;
  const allowed = actions.filter((action) => site.repositories.allows(user, name, makes ? 'push' : action));
  return allowed.length === 0 ? [] : [`repository:${name}:${allowed.join(',')}`];
}
