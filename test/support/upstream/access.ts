import { type Answer, type Exchange, failure } from './exchange.ts';
import { parseBasic } from './tokens.ts';

/** Who a request turned out to be from, or the answer that keeps it out. */
export type Admission =
  | { readonly user: string | undefined; readonly refused?: undefined }
  | { readonly refused: Answer };

/** Decides whether a request may do `action` in the repository it names; `/v2/` names none. */
export function admit(exchange: Exchange, action: 'pull' | 'push'): Admission {
  switch (exchange.profile.auth) {
    case 'open':
      return allows(exchange, undefined, action) ? { user: undefined } : { refused: refuse(exchange, action) };
    case 'basic':
      return admitBasic(exchange, action);
    case 'bearer':
      return admitBearer(exchange, action);
  }
}

function admitBasic(exchange: Exchange, action: string): Admission {
  const basic = parseBasic(exchange.request.headers.authorization);
  if (basic === undefined || exchange.site.users.get(basic.user) !== basic.password) {
    return { refused: unauthorized(exchange, action) };
  }
  const absent = action === 'pull' && exchange.site.repositories.get(exchange.target.repository) === undefined;
  if (absent && exchange.target.repository !== '')
    return { refused: failure(404, 'NAME_UNKNOWN', 'unknown repository') };
  return allows(exchange, basic.user, action) ? { user: basic.user } : { refused: refuse(exchange, action) };
}

function admitBearer(exchange: Exchange, action: string): Admission {
  const { site, profile, target, request } = exchange;
  const token = /^bearer\s+(.+)$/i.exec(request.headers.authorization ?? '')?.[1];
  if (token === undefined) {
    const open = !profile.publicNeedsToken && target.kind !== 'ping' && allows(exchange, undefined, action);
    return open ? { user: undefined } : { refused: unauthorized(exchange, action) };
  }
  const grant = site.tokens.find(token);
  if (grant === undefined) return { refused: unauthorized(exchange, action, 'invalid_token') };
  if (target.repository === '') return { user: grant.user };
  const open = !profile.publicNeedsToken && allows(exchange, undefined, action);
  const granted = grant.scopes.some((scope) => {
    const [name, actions] = [scope.slice('repository:'.length, scope.lastIndexOf(':')), scope.split(':').at(-1)];
    return name === target.repository && actions?.split(',').includes(action);
  });
  return open || granted ? { user: grant.user } : { refused: refuse(exchange, action) };
}

function allows({ site, target }: Exchange, user: string | undefined, action: string): boolean {
  return target.repository === '' || site.repositories.allows(user, target.repository, action);
}

function refuse(exchange: Exchange, action: string): Answer {
  const { status, code, error } = exchange.profile.refusal;
  if (status === 401) return unauthorized(exchange, action, error);
  return failure(status, code, 'requested access to the resource is denied');
}

/** A 401 with the challenge of this registry. */
export function unauthorized(exchange: Exchange, action: string = 'pull', error?: string): Answer {
  return failure(401, 'UNAUTHORIZED', 'authentication required', {
    'www-authenticate': challenge(exchange, action, error),
  });
}

/** The WWW-Authenticate value a request gets. */
export function challenge({ site, profile, role, target }: Exchange, action: string, error?: string): string {
  const { realm } = profile;
  if (realm === undefined) return 'Basic realm="Registry Realm"';
  const host = realm.role === 'token' ? 'token' : profile.elsewhere === undefined ? role : 'origin';
  const params = [`realm="${site.url(host)}${realm.path}"`];
  if (realm.service !== undefined) params.push(`service="${realm.service}"`);
  const actions = action === 'push' ? 'pull,push' : 'pull';
  const scope = target.repository === '' ? realm.pingScope : `repository:${target.repository}:${actions}`;
  if (scope !== undefined) params.push(`scope="${scope}"`);
  if (error !== undefined) params.push(`error="${error}"`);
  return `Bearer ${params.join(',')}`;
}
