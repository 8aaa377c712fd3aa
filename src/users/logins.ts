import { type Credential, parseAuthorization, parseLogin } from '../auth/authorization.ts';
import { ANONYMOUS, type Caller } from '../auth/principal.ts';
import type { SignedTokens } from '../auth/signed-tokens.ts';
import { formatChallenge } from '../oci/challenge.ts';
import { RegistryError } from '../oci/error.ts';
import { TOKEN_PATH } from '../oci/route.ts';
import type { Users } from './users.ts';

/** What our challenges and tokens are for. */
const SERVICE = 'layover';

/** A token document, and whom it was given to. */
export interface Issued {
  readonly document: object;
  readonly user?: string;
}

/** Who somebody is on our own names: a user by password or by a token of ours, or nobody in particular. */
export class Logins {
  readonly #users: Users;
  readonly #tokens: SignedTokens;

  constructor(users: Users, tokens: SignedTokens) {
    this.#users = users;
    this.#tokens = tokens;
  }

  /** Throws UNAUTHORIZED for a credential that is wrong, whatever it was sent for. `origin`: what the client calls us. */
  async identify(authorization: string | undefined, origin: string): Promise<Caller> {
    if (authorization === undefined) return ANONYMOUS;
    const login = await this.#login(parseAuthorization(authorization), origin);
    return { ...ANONYMOUS, login };
  }

  /** Answers a token request: for the user that `caller` is or that the form of a POST names, else for nobody. */
  async issue(caller: Caller, form: string | undefined, origin: string): Promise<Issued> {
    const credential = form === undefined ? undefined : parseLogin({ query: new URLSearchParams(), form });
    // A POST with a header as well carries its secret there, and a form in the way of a GET's query.
    const isForm = caller.login === undefined && credential !== undefined;
    const { user } = isForm ? await this.#login(credential, origin) : (caller.login ?? {});
    const mark = user === undefined ? undefined : await this.#users.mark(user);
    const claims = user === undefined ? {} : { user, mark: mark ?? '' };
    return { document: await this.#tokens.issue(claims, SERVICE), ...(user !== undefined && { user }) };
  }

  async #login({ kind, secret }: Credential, origin: string): Promise<{ readonly user?: string }> {
    const [first = '', password = ''] = secret;
    if (kind === 'bearer') return this.#bearer(first, origin);
    if (kind !== 'password')
      throw unauthorized(origin, 'expected a user name and a password, or a token of this registry');
    // Some clients say in this way that they have no account.
    if (first === '' && password === '') return {};
    if (await this.#users.verify(first, password)) return { user: first };
    throw unauthorized(origin, 'wrong user name or password');
  }

  async #bearer(token: string, origin: string): Promise<{ readonly user?: string }> {
    const claims = await this.#tokens.verify(token, SERVICE);
    const user = typeof claims?.user === 'string' ? claims.user : undefined;
    if (claims !== undefined && user === undefined) return {};
    if (user !== undefined && (await this.#users.mark(user)) === claims?.mark) return { user };
    throw unauthorized(origin, 'the token is over, or not of this registry', { error: 'invalid_token' });
  }
}

/** A refusal that tells clients where to get a token; `params` go into the challenge. */
export function unauthorized(
  origin: string,
  message: string,
  params: Readonly<Record<string, string>> = {},
): RegistryError {
  const realm = { realm: `${origin}${TOKEN_PATH}`, service: SERVICE };
  const challenge = formatChallenge({ scheme: 'bearer', params: new Map(Object.entries({ ...realm, ...params })) });
  return new RegistryError('UNAUTHORIZED', message, { headers: { 'WWW-Authenticate': challenge } });
}
