const COMPONENT = '[a-z0-9]+(?:(?:\\.|__?|-+)[a-z0-9]+)*';
const REPOSITORY = new RegExp(`^${COMPONENT}(?:/${COMPONENT})*$`);
const TAG = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/;

/** Whether `text` is a repository name (distribution-spec, "Pulling manifests"); at most 255 characters. */
export function isRepositoryName(text: string): boolean {
  return text.length <= 255 && REPOSITORY.test(text);
}

/** Whether `text` is a tag (distribution-spec, "Pulling manifests"). */
export function isTag(text: string): boolean {
  return TAG.test(text);
}

/**
 * Whether `name` matches a repository pattern: `*` stands for any run of characters within one component,
 * a component `**` for any number of components, none included.
 */
export function matchesPattern(pattern: string, name: string): boolean {
  return matchComponents(pattern.split('/'), name.split('/'));
}

/**
 * Whether an image matches `repositories` or `repositories:tags`, where `*` among the tags stands for any run of
 * characters. Without a tag, as when a digest is asked for, a pattern of tags matches by its repositories alone.
 */
export function matchesImage(pattern: string, name: string, tag: string | undefined): boolean {
  const [repositories = '', tags] = pattern.split(':');
  if (!matchesPattern(repositories, name)) return false;
  return tags === undefined || tag === undefined || matchComponent(tags, tag);
}

function matchComponents(pattern: readonly string[], name: readonly string[]): boolean {
  const [head, ...rest] = pattern;
  if (head === undefined) return name.length === 0;
  if (head === '**') {
    return name.some((_, skipped) => matchComponents(rest, name.slice(skipped))) || matchComponents(rest, []);
  }
  const [component, ...tail] = name;
  return component !== undefined && matchComponent(head, component) && matchComponents(rest, tail);
}

function matchComponent(pattern: string, component: string): boolean {
  const parts = pattern.split('*');
  if (parts.length === 1) return pattern === component;
  const last = parts.length - 1;
  let at = 0;
  for (const [index, part] of parts.entries()) {
    const found = index === last ? component.length - part.length : component.indexOf(part, at);
    if (found < at || (index === 0 && found !== 0) || !component.startsWith(part, found)) return false;
    at = found + part.length;
  }
  return true;
}
