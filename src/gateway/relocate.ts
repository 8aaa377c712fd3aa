/**
 * A Location of an upstream as its clients must see it: when it names the upstream's own host, that host becomes
 * `origin`, and `base`'s path is taken off again. Everything behind it is opaque and stays byte for byte.
 */
export function relocate(location: string, base: URL, origin: string): string {
  const [, scheme, authority = '', rest = ''] = /^(https?):\/\/([^/?#]*)(.*)$/is.exec(location) ?? [];
  if (scheme === undefined) return withoutBase(location, base);
  return namesHost(scheme, authority, base) ? `${origin}${withoutBase(rest, base)}` : location;
}

/** Link lines with path and query alone: clients refuse to follow one to another host (RFC 8288 §3). */
export function relativeLink(line: string, base: URL): string {
  return line.replace(/<(?:https?:\/\/[^/>]*)?(\/[^>]*)>/gi, (_, path: string) => `<${withoutBase(path, base)}>`);
}

/** Registries behind a TLS terminator often spell their own URL with http. */
function namesHost(scheme: string, authority: string, base: URL): boolean {
  const url = URL.parse(`${scheme}://${authority}`);
  return url !== null && url.username === '' && url.hostname === base.hostname && url.port === base.port;
}

function withoutBase(path: string, base: URL): string {
  const prefix = base.pathname.replace(/\/$/, '');
  return prefix !== '' && path.startsWith(`${prefix}/`) ? path.slice(prefix.length) : path;
}
