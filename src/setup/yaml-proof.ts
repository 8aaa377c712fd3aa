import { Unsuitable } from './unsuitable.ts';

/** Throws unless the texts differ by new entries at `key` and nothing else, as a reader of YAML understands them. */
export function proveYaml(
  path: string,
  base: string,
  text: string,
  key: string,
  yaml: (text: string) => unknown,
): void {
  const isRight = (() => {
    try {
      const [before, after] = [record(yaml(base)), record(yaml(text))];
      const [old, now] = [record(before[key]), record(after[key])];
      const kept = Object.keys(old).every((name) => JSON.stringify(old[name]) === JSON.stringify(now[name]));
      const others = Object.keys(before).every(
        (name) => name === key || JSON.stringify(before[name]) === JSON.stringify(after[name]),
      );
      return kept && others && Object.keys(now).length > Object.keys(old).length;
    } catch {
      return false;
    }
  })();
  if (!isRight)
    throw new Unsuitable(
      `${path}: it is not a mapping in block form, so nothing is inserted: mend it, or add the endpoints yourself`,
    );
}

function record(value: unknown): Readonly<Record<string, unknown>> {
  if (value === null || value === undefined) return {};
  if (typeof value !== 'object' || Array.isArray(value)) throw new TypeError('no mapping');
  return value as Record<string, unknown>;
}
