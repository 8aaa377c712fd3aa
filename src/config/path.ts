/** Where something stands in the document: keys of maps, indexes of lists. */
export type Path = readonly PropertyKey[];

const PLAIN_KEY = /^[\w.:*-]{1,100}$/;

/** `upstreams.docker.io.urls[0]`; the whole file is `(document)`. */
export function formatPath(path: Path): string {
  const text = path.map((key) => {
    if (typeof key === 'number') return `[${key}]`;
    const name = String(key);
    return PLAIN_KEY.test(name) ? `.${name}` : `[${JSON.stringify(name.slice(0, 100))}]`;
  });
  return text.join('').replace(/^\./, '') || '(document)';
}
