import { namespaced, type Repository } from '../oci/route.ts';
import { formatScope } from '../oci/scope.ts';
import type { Endpoints, Exchange, Reply, Route } from '../registry/exchange.ts';
import { type Logins, unauthorized } from './logins.ts';

/** What is for users alone on our own names. */
export interface Rights {
  readonly hosted: { readonly push: 'none' | 'users' | 'anyone'; readonly read: 'anyone' | 'users' };
  readonly mirror: { readonly read: 'anyone' | 'users' };
}

/** Lets through what this caller may do on our own names, and gives out tokens there. What is not on them goes on to `endpoints`. */
export function withUsers(logins: Logins, rights: Rights, endpoints: Endpoints): Endpoints {
  return async (exchange) => {
    const { caller, door, origin, route } = exchange;
    if (door === 'transparent') return endpoints(exchange);
    if (route.kind === 'token') return token(logins, exchange);
    // The answer to it is where most clients learn where tokens come from.
    if (route.kind === 'ping' && caller.login === undefined) throw unauthorized(origin, 'authentication required');
    if (caller.login?.user !== undefined) return endpoints(exchange);
    const needed = rightOf(rights, exchange);
    const asked = readable(rights, route);
    if (needed === undefined) return endpoints(asked === route ? exchange : { ...exchange, route: asked });
    throw unauthorized(origin, REFUSED[needed], scopeOf(exchange, needed));
  };
}

type Right = 'push' | 'read';

const REFUSED: Readonly<Record<Right, string>> = {
  push: 'only users may push here: log in, or ask whoever runs this registry for an account (layover user add)',
  read: 'only users may read here: log in, or ask whoever runs this registry for an account (layover user add)',
};

/** What somebody who is no user lacks for a request; `undefined`: nothing. */
function rightOf({ hosted, mirror }: Rights, { method, route }: Pick<Exchange, 'method' | 'route'>): Right | undefined {
  if (route.kind === 'ping' || route.kind === 'token') return undefined;
  const isPush = route.kind === 'upload' || (method !== 'GET' && method !== 'HEAD');
  // A push to what is not ours has been refused before.
  if (isPush) return hosted.push === 'anyone' ? undefined : 'push';
  return isOpen({ hosted, mirror }, route.kind === 'catalog' ? undefined : route.repository) ? undefined : 'read';
}

/** Whether anyone may read a repository, or any that there is. */
function isOpen({ hosted, mirror }: Rights, repository: Repository | undefined): boolean {
  const concerned = repository === undefined ? [hosted, mirror] : [repository.root === 'hosted' ? hosted : mirror];
  return concerned.every(({ read }) => read === 'anyone');
}

/** What is for users alone is not mounted for others, who could read it then: they upload it, as what is not here. */
function readable(rights: Rights, route: Route): Route {
  if (route.kind !== 'upload' || isOpen(rights, route.from)) return route;
  const query = new URLSearchParams(route.query);
  query.delete('mount');
  const { from: _, ...upload } = route;
  return { ...upload, query: query.toString() };
}

/** What to ask a token for, in the client's own spelling. Nothing is read from it again. */
function scopeOf({ door, route }: Exchange, needed: Right): Readonly<Record<string, string>> {
  if (!('repository' in route)) return {};
  const name = door === 'mirror' ? route.repository.name : namespaced(route.repository);
  const actions = needed === 'push' ? ['pull', 'push'] : ['pull'];
  return { scope: formatScope({ type: 'repository', name, actions }) };
}

async function token(logins: Logins, { body, caller, method, origin }: Exchange): Promise<Reply> {
  const form = method === 'POST' ? Buffer.from(body).toString('utf8') : undefined;
  const { document, user } = await logins.issue(caller, form, origin);
  const bytes = Buffer.from(JSON.stringify(document));
  return {
    status: 200,
    headers: {
      'Content-Type': 'application/json',
      'Content-Length': String(bytes.length),
      'Cache-Control': 'no-store',
    },
    body: { kind: 'bytes', bytes },
    outcome: { cache: 'none', why: 'own-token', ...(user !== undefined && { user }) },
  };
}
