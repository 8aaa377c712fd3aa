import { randomUUID, sign, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createAuthority } from '../support/pki.ts';

/** Gives tokens for a registry with sub-paths: to everybody for what is below `library`, to users for what is below their names. */
export class TokenService implements AsyncDisposable {
  /** PEM of the authority that its signatures go back to. */
  readonly certificate: string;
  readonly #server: Server;
  readonly #leaf: { readonly cert: string; readonly key: string };
  readonly #users: Readonly<Record<string, string>>;
  readonly #subpaths: readonly string[];

  private constructor(users: Readonly<Record<string, string>>, subpaths: readonly string[]) {
    const authority = createAuthority();
    this.certificate = authority.ca;
    this.#leaf = authority.issue(['mirror.internal']);
    this.#users = users;
    this.#subpaths = subpaths;
    this.#server = createServer((request, response) => {
      const token = this.#tokenFor(request);
      response.writeHead(token === undefined ? 401 : 200, { 'content-type': 'application/json' });
      response.end(
        JSON.stringify(
          token === undefined
            ? { errors: [{ code: 'UNAUTHORIZED' }] }
            : { token, access_token: token, expires_in: 300 },
        ),
      );
    });
  }

  static async start(users: Readonly<Record<string, string>>, subpaths: readonly string[]): Promise<TokenService> {
    const tokens = new TokenService(users, subpaths);
    tokens.#server.listen(0, '127.0.0.1');
    await once(tokens.#server, 'listening');
    return tokens;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }

  /** `undefined` for a wrong login. */
  #tokenFor({ headers, url = '' }: IncomingMessage): string | undefined {
    const [, given] = /^Basic (.*)$/.exec(headers.authorization ?? '') ?? [];
    const [user = '', password] = Buffer.from(given ?? '', 'base64')
      .toString()
      .split(':');
    if (given !== undefined && this.#users[user] !== password) return undefined;
    const scopes = new URL(url, 'http://mirror.internal').searchParams.getAll('scope');
    const access = scopes.flatMap((scope) => this.#allowed(scope, user));
    const now = Math.floor(Date.now() / 1000);
    const chain = new X509Certificate(this.#leaf.cert).raw.toString('base64');
    const claims = {
      iss: 'mirror',
      sub: user,
      aud: 'mirror',
      iat: now,
      nbf: now - 10,
      exp: now + 300,
      jti: randomUUID(),
      access,
    };
    const signed = [{ typ: 'JWT', alg: 'ES256', x5c: [chain] }, claims]
      .map((part) => encoded(JSON.stringify(part)))
      .join('.');
    return `${signed}.${encoded(sign('sha256', Buffer.from(signed), { key: this.#leaf.key, dsaEncoding: 'ieee-p1363' }))}`;
  }

  /** The registries behind know nothing of sub-paths. */
  #allowed(scope: string, user: string): object[] {
    const [type = '', whole = ''] = scope.split(':');
    const subpath = this.#subpaths.find((name) => whole.startsWith(`${name}/`));
    const name = subpath === undefined ? whole : whole.slice(subpath.length + 1);
    const [owner] = name.split('/');
    return owner === 'library' || owner === user
      ? [{ type, name, actions: owner === user ? ['pull', 'push'] : ['pull'] }]
      : [];
  }
}

function encoded(part: string | Buffer): string {
  return Buffer.from(part).toString('base64url');
}
