/** What proves who sends a request: a user name and a password, a token, or something only its issuer understands. */
export interface Credential {
  readonly kind: 'password' | 'refresh' | 'bearer' | 'other';
  readonly secret: readonly string[];
}

/** Reads an Authorization header (RFC 7617, RFC 6750). */
export function parseAuthorization(header: string): Credential {
  const match = /^(\w+) +([^\s]+)$/.exec(header.trim());
  const [scheme, value = ''] = [match?.[1]?.toLowerCase(), match?.[2]];
  if (scheme === 'bearer') return { kind: 'bearer', secret: [value] };
  const decoded = scheme === 'basic' ? Buffer.from(value, 'base64').toString('utf8') : '';
  const colon = decoded.indexOf(':');
  if (colon < 0) return { kind: 'other', secret: [header] };
  return { kind: 'password', secret: [decoded.slice(0, colon), decoded.slice(colon + 1)] };
}

/** What a token request may ask for without saying who asks (distribution, docs/spec/auth/token.md). */
const NO_SECRET = new Set(['service', 'scope', 'client_id', 'account', 'offline_token']);

/** A token request as its sender spelled it. */
export interface Login {
  readonly query: URLSearchParams;
  readonly authorization?: string;
  /** The body of a POST. */
  readonly form?: string;
}

/**
 * Reads who sends a token request (distribution, docs/spec/auth/token.md and oauth.md). `undefined` only where nothing
 * in it can be a secret: a token that was got by one must never count as anybody's.
 */
export function parseLogin({ query, authorization, form }: Login): Credential | undefined {
  const fields = [...query].filter(([name]) => !NO_SECRET.has(name)).flat();
  const header = authorization === undefined ? undefined : parseAuthorization(authorization);
  const [said, another] = [form === undefined ? undefined : parseForm(form), header].filter((one) => one !== undefined);
  if (fields.length === 0 && another === undefined) return said;
  return { kind: 'other', secret: [...fields, authorization ?? '', form ?? ''] };
}

function parseForm(text: string): Credential {
  const form = new URLSearchParams(text);
  const [username, password, token] = ['username', 'password', 'refresh_token'].map(
    (name) => form.get(name) ?? undefined,
  );
  if (token !== undefined && password === undefined) return { kind: 'refresh', secret: [token] };
  if (username !== undefined && password !== undefined && token === undefined)
    return { kind: 'password', secret: [username, password] };
  return { kind: 'other', secret: [text] };
}
