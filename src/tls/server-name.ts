const longest = 253;
const firstLabel = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?=\.)/;
const labels = /^[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*$/;

/**
 * The host name a client named in its TLS greeting or its Host (without the port), folded to lower case and without
 * the dot at its end; `undefined` when it is not an ASCII host name.
 */
export function serverName(text: string): string | undefined {
  const name = (text.endsWith('.') ? text.slice(0, -1) : text).replace(/[A-Z]/g, (letter) => letter.toLowerCase());
  return name.length <= longest && labels.test(name) ? name : undefined;
}

/** The name that a certificate for `name` is to be made for: the name itself, or the wildcard that stands for it. */
export function certifiedName(presented: ReadonlySet<string>, name: string): string | undefined {
  if (presented.has(name)) return name;
  const wildcard = name.replace(firstLabel, '*');
  return presented.has(wildcard) ? wildcard : undefined;
}
