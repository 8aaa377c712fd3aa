/** What an Authorization header or a token request's form says of its sender. */
export type Credential =
  | { readonly kind: 'password'; readonly username: string; readonly password: string }
  | { readonly kind: 'refresh'; readonly token: string }
  | { readonly kind: 'bearer'; readonly token: string };

/** Reads an Authorization header (RFC 7617, RFC 6750); `undefined` for other schemes and malformed values. */
export function parseAuthorization(header: string): Credential | undefined {
  const match = /^(\w+) +([^\s]+)$/.exec(header.trim());
  const [scheme, value = ''] = [match?.[1]?.toLowerCase(), match?.[2]];
  if (scheme === 'bearer') return { kind: 'bearer', token: value };
  if (scheme !== 'basic') return undefined;
  const decoded = Buffer.from(value, 'base64').toString('utf8');
  const colon = decoded.indexOf(':');
  if (colon < 0) return undefined;
  return { kind: 'password', username: decoded.slice(0, colon), password: decoded.slice(colon + 1) };
}

/** Reads the credential in the form of a token request by POST (distribution, docs/spec/auth/oauth.md). */
export function parseForm(form: URLSearchParams): Credential | undefined {
  const [username, password] = [form.get('username'), form.get('password')];
  if (username !== null && password !== null) return { kind: 'password', username, password };
  const token = form.get('refresh_token');
  return token === null ? undefined : { kind: 'refresh', token };
}
