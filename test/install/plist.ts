export type Value = string | number | boolean | readonly Value[] | { readonly [key: string]: Value };

const COMMENT = /<!--[\s\S]*?-->/g;
const TOKEN = /<(\/?)([a-z]+)(\/?)>|([^<]+)/g;

/** An XML property list, as launchd reads it; throws for what is none. Entities and dates are not known here. */
export function readPlist(text: string): Value {
  const body =
    /^<\?xml version="1\.0"[^>]*>\s*<!DOCTYPE plist [^>]*>\s*<plist version="1\.0">([\s\S]*)<\/plist>\s*$/.exec(text);
  if (body === null) throw new Error('this is no property list');
  const tokens = [...(body[1] ?? '').replace(COMMENT, '').matchAll(TOKEN)].flatMap(
    ([, closing, name, empty, content = '']) => {
      if (name === undefined) return content.trim() === '' ? [] : [content];
      return empty === '/' ? [`<${name}/>`] : [closing === '/' ? `</${name}>` : `<${name}>`];
    },
  );
  const value = readValue(tokens);
  if (tokens.length > 0) throw new Error(`after the end: ${tokens[0]}`);
  return value;
}

/** Takes the tokens of one value away. */
function readValue(tokens: string[]): Value {
  const first = tokens.shift();
  switch (first) {
    case '<string>':
      return textUntil(tokens, '</string>');
    case '<integer>':
      return Number.parseInt(textUntil(tokens, '</integer>'), 10);
    case '<true/>':
    case '<false/>':
      return first === '<true/>';
    case '<array>':
      return readArray(tokens);
    case '<dict>':
      return readDictionary(tokens);
    default:
      throw new Error(`expected a value, got ${first}`);
  }
}

function readArray(tokens: string[]): readonly Value[] {
  const items: Value[] = [];
  while (tokens[0] !== '</array>') items.push(readValue(tokens));
  tokens.shift();
  return items;
}

function readDictionary(tokens: string[]): Readonly<Record<string, Value>> {
  const entries: [string, Value][] = [];
  while (tokens[0] !== '</dict>') {
    if (tokens.shift() !== '<key>') throw new Error('expected a key');
    entries.push([textUntil(tokens, '</key>'), readValue(tokens)]);
  }
  tokens.shift();
  return Object.fromEntries(entries);
}

function textUntil(tokens: string[], end: string): string {
  const [content = '', closing] = tokens.splice(0, 2);
  if (closing !== end) throw new Error(`expected ${end}, got ${closing}`);
  return content;
}
