/** One resource scope of the token protocol (distribution, docs/spec/auth/scope.md): `repository:library/nginx:pull`. */
export interface Scope {
  readonly type: string;
  readonly name: string;
  readonly actions: readonly string[];
}

/** Reads one resource scope; `undefined` when it lacks a part. A name may itself contain colons (`host:port/name`). */
export function parseScope(text: string): Scope | undefined {
  const first = text.indexOf(':');
  const last = text.lastIndexOf(':');
  if (first <= 0 || last <= first + 1) return undefined;
  const actions = text.slice(last + 1).split(',');
  return { type: text.slice(0, first), name: text.slice(first + 1, last), actions };
}

export function formatScope(scope: Scope): string {
  return `${scope.type}:${scope.name}:${scope.actions.join(',')}`;
}

/** The scope a client needs to pull from `name`. */
export function pullScope(name: string): string {
  return formatScope({ type: 'repository', name, actions: ['pull'] });
}

/** Rewrites the repository names in a space-separated list of scopes; everything else stays as it is. */
export function mapScopes(scopes: string, rename: (name: string) => string): string {
  const mapped = scopes.split(' ').map((text) => {
    const scope = parseScope(text);
    return scope?.type === 'repository' ? formatScope({ ...scope, name: rename(scope.name) }) : text;
  });
  return mapped.join(' ');
}
