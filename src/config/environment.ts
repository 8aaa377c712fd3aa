import type { Mistake } from './error.ts';
import type { JsonSchema } from './json-schema.ts';
import { isTree } from './layers.ts';
import { formatPath } from './path.ts';
import type { Place } from './place.ts';
import { variablesOf } from './variables.ts';

/** What the environment says, laid over what the file says. An empty variable says nothing. */
export function readEnvironment(
  env: NodeJS.ProcessEnv,
  file: Place,
): { readonly root: Place; readonly mistakes: readonly Mistake[] } {
  const mistakes: Mistake[] = [];
  const root = variablesOf(env).reduce((below, { name, path, schema }, index) => {
    const text = env[name] ?? '';
    if (text === '') return below;
    // After everything that is wrong in the file, in the order of the keys.
    const origin = { offset: Number.MAX_SAFE_INTEGER - 10_000 + index, variable: name };
    const value = readValue(text, schema);
    if (value === undefined) {
      const expected = 'name=address, several of them with commas between';
      mistakes.push({ ...origin, path: formatPath(path), expected, got: JSON.stringify(text) });
      return below;
    }
    const whole = path.reduceRight<unknown>((inner, key) => ({ [key]: inner }), value);
    return overlayPlace(below, placeOf(whole, origin));
  }, file);
  return { root, mistakes };
}

/** `undefined` when an open map is wanted and the text is none. */
function readValue(text: string, schema: JsonSchema): unknown {
  const forms = [schema, ...(schema.anyOf ?? [])].filter((form) => typeof form === 'object');
  const types = forms.flatMap((form) => form.type ?? []);
  if (types.includes('array')) return types.includes('string') && !text.includes(',') ? text : itemsOf(text);
  if (types.includes('object')) return mapOf(text);
  if (types.includes('null') && text === 'null') return null;
  if (types.includes('boolean') && /^(?:true|false)$/.test(text)) return text === 'true';
  const isNumber = (types.includes('number') || types.includes('integer')) && /^-?\d+(?:\.\d+)?$/.test(text);
  return isNumber ? Number(text) : text;
}

function itemsOf(text: string): string[] {
  return text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');
}

/** `a=1,a=2,b=3`: each name with the list of its values. */
function mapOf(text: string): Readonly<Record<string, readonly string[]>> | undefined {
  const map: Record<string, string[]> = Object.create(null);
  for (const item of itemsOf(text)) {
    const [, name, value] = /^([^=]+)=(.+)$/.exec(item) ?? [];
    if (name === undefined || value === undefined) return undefined;
    map[name] = [...(map[name] ?? []), value];
  }
  return map;
}

function placeOf(value: unknown, origin: Pick<Place, 'offset' | 'variable'>): Place {
  const inner = typeof value === 'object' && value !== null ? Object.entries(value) : [];
  return {
    ...origin,
    keyOffset: origin.offset,
    value,
    children: new Map(inner.map(([key, item]) => [key, placeOf(item, origin)])),
  };
}

/** Where the file has something else than a map, that is the mistake to tell. */
function overlayPlace(lower: Place, upper: Place): Place {
  if (!isTree(upper.value)) return upper;
  if (lower.value === undefined) return upper;
  if (!isTree(lower.value)) return lower;
  const children = new Map(lower.children);
  for (const [key, child] of upper.children) {
    const below = children.get(key);
    children.set(key, below === undefined ? child : overlayPlace(below, child));
  }
  const value = Object.fromEntries([...children].map(([key, child]) => [key, child.value]));
  return { ...lower, value: Object.assign(Object.create(null), value), children };
}
