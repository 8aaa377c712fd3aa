import test from 'ava';
import {
  codeLines,
  codeOf,
  importCircle,
  longFunctions,
  packageOf,
  type SourceFile,
  sourceFile,
  sourceFiles,
} from './support/source-files.ts';

interface Room {
  /** The rooms it may import beside itself. */
  readonly imports: readonly string[];
  /** The npm packages that no other room may import. */
  readonly packages?: readonly string[];
}

/** Arrows only go down: a room stands below every room it may import. */
const ROOMS: Readonly<Record<string, Room>> = {
  oci: { imports: [] },
  events: { imports: [] },
  config: { imports: ['oci'], packages: ['yaml', 'zod'] },
  migration: { imports: ['config'] },
  nginx: { imports: ['config'] },
  html: { imports: [] },
  report: { imports: ['events', 'html'] },
  telemetry: { imports: ['events'], packages: ['pino', 'prom-client'] },
  store: { imports: ['oci', 'events'] },
  space: { imports: ['events', 'store'] },
  upstream: { imports: ['oci', 'events'], packages: ['undici'] },
  auth: { imports: ['oci', 'events', 'upstream', 'store'], packages: ['jose'] },
  cache: { imports: ['oci', 'events', 'store', 'upstream', 'auth'], packages: ['lru-cache'] },
  registry: { imports: ['oci', 'events', 'store', 'cache', 'auth'] },
  hosted: { imports: ['oci', 'events', 'store', 'cache', 'registry'] },
  users: { imports: ['oci', 'events', 'auth', 'registry'], packages: ['bcryptjs'] },
  fleet: { imports: ['events', 'config'] },
  tls: { imports: ['events'], packages: ['node-forge'] },
  gateway: { imports: ['oci', 'events', 'config', 'auth', 'registry', 'tls'], packages: ['http-proxy-3'] },
  index: { imports: ['oci', 'events', 'store'], packages: ['node:sqlite'] },
  setup: { imports: ['config'] },
  pages: { imports: ['events', 'gateway', 'html', 'index'] },
  upkeep: { imports: ['oci', 'events', 'store', 'index', 'cache'] },
  doctor: { imports: ['events', 'config', 'upstream'] },
  admin: { imports: ['oci', 'events', 'auth', 'cache', 'store', 'index', 'upkeep', 'telemetry'] },
};
/** The rooms that wire the others and may import them all. */
const WIRING = ['cli', 'main'];

const CORE = ['oci', 'store', 'upstream', 'auth', 'cache', 'registry', 'gateway', 'tls'];
/** Lines without comments and blank ones; see docs/decisions/0007-size-of-the-core.md. */
const CORE_LIMIT = 10000;
const FILE_LIMIT = 250;
const FUNCTION_LIMIT = 60;
const EMPTY_WORDS = ['util', 'helper', 'manager', 'service', 'common', 'data', 'info', 'handler'];

const FORBIDDEN: Readonly<Record<string, RegExp>> = {
  'has a default export; name what it exports': /^export default\b/m,
  're-exports; import from the file that has it, there are no barrels': /^export (?:type )?(?:\*|\{[^}]*\} from)/m,
  'has an enum; use a union of strings, Node does not run enums': /^\s*(?:export )?(?:declare )?(?:const )?enum\b/m,
  'uses any; use unknown and narrow it': /(?:[:<|&,(]|\bas|\bextends|=>) ?any\b(?!['\w(:])/,
  'loads modules by require; import them': /\b(?:createRequire|require)\(/,
  'imports something computed; name it, so that the table of rooms sees it': /\bimport\((?!'')/,
};

const files = sourceFiles();

/** Why this import is not allowed, or undefined. */
function objection({ path, room }: SourceFile, specifier: string): string | undefined {
  if (specifier.startsWith('src/')) return roomObjection(path, room, sourceFile(specifier, '').room);
  if (specifier.startsWith('.')) return `${path} imports ${specifier}, which lies outside src/; move it into a room`;
  const name = packageOf(specifier);
  const owner = Object.keys(ROOMS).find((candidate) => ROOMS[candidate]?.packages?.includes(name));
  if (owner === room || (owner === undefined && name.startsWith('node:'))) return undefined;
  return owner === undefined
    ? `${path} imports ${name}, which no room owns; give it to one in the table of test/architecture.test.ts`
    : `${path} imports ${name}, which belongs to src/${owner}; ask that room for what you need`;
}

function roomObjection(path: string, from: string, to: string): string | undefined {
  if (from === to || WIRING.includes(from)) return undefined;
  const room = ROOMS[from];
  if (!room) return `${path} is in no room of the table in test/architecture.test.ts; move it or add the room`;
  if (room.imports.includes(to)) return undefined;
  const allowed = room.imports.join(', ') || 'no other room';
  return `${path} imports src/${to}, but src/${from} may import ${allowed}; pass what it needs in as an argument`;
}

test('every room imports only the rooms and packages that it may', (t) => {
  const objections = files.flatMap((file) => file.imports.flatMap((specifier) => objection(file, specifier) ?? []));
  t.deepEqual(objections, []);
});

test('an import against the arrows, of a foreign package or from outside src is objected to', (t) => {
  const file = (path: string, text: string): SourceFile => sourceFile(path, text);
  const objections = (path: string, text: string): string[] => {
    const source = file(path, text);
    return source.imports.flatMap((specifier) => objection(source, specifier) ?? []);
  };
  t.deepEqual(objections('src/store/a.ts', "import { createHash } from 'node:crypto';\nimport '../events.ts';"), []);
  t.deepEqual(objections('src/cli/a.ts', "import { start } from '../gateway/gateway.ts';"), []);
  t.regex(
    objections('src/store/a.ts', "import type {\n  Fill,\n} from '../cache/fill.ts';")[0] ?? '',
    /src\/cache, but/,
  );
  t.regex(objections('src/store/a.ts', "const a = await import('../cache/fill.ts');")[0] ?? '', /src\/cache, but/);
  t.regex(objections('src/store/a.ts', "import 'undici/lib/x.js';")[0] ?? '', /belongs to src\/upstream/);
  t.regex(
    objections('src/store/a.ts', "import { DatabaseSync } from 'node:sqlite';")[0] ?? '',
    /belongs to src\/index/,
  );
  t.regex(
    objections('src/store/a.ts', "export { x } from '@scope/new/part';")[0] ?? '',
    /imports @scope\/new, which no/,
  );
  t.regex(objections('src/store/a.ts', "import '../../test/x.ts';")[0] ?? '', /outside src/);
  t.regex(objections('src/attic/a.ts', "import '../oci/digest.ts';")[0] ?? '', /in no room/);
});

test('the arrows between rooms only go down', (t) => {
  const order = Object.keys(ROOMS);
  for (const [room, { imports }] of Object.entries(ROOMS))
    for (const below of imports)
      t.true(order.indexOf(below) < order.indexOf(room), `${room} may import ${below}, which stands after it`);
});

test('no files import each other in a circle', (t) => {
  const circle = importCircle(files);
  t.is(circle, undefined, `${circle?.join(' → ')}: move what both need into a file of its own`);
  const [a, b] = [sourceFile('src/x/a.ts', "import './b.ts';"), sourceFile('src/x/b.ts', "import './a.ts';")];
  t.deepEqual(importCircle([a, b]), ['src/x/a.ts', 'src/x/b.ts', 'src/x/a.ts']);
});

test(`files have at most ${FILE_LIMIT} lines`, (t) => {
  const long = files.filter(({ lines }) => lines.length > FILE_LIMIT);
  t.deepEqual(
    long.map(({ path, lines }) => `${path} has ${lines.length} lines; split it by what it is responsible for`),
    [],
  );
});

test(`functions have at most ${FUNCTION_LIMIT} lines`, (t) => {
  const long = files.flatMap(({ path, lines }) =>
    longFunctions(lines, FUNCTION_LIMIT).map(
      ({ line, length }) => `${path}:${line} has ${length} lines; give its steps names of their own`,
    ),
  );
  t.deepEqual(long, []);
});

test('long functions of every form are found, long blocks of other kinds are not', (t) => {
  const body = ['  x();', '  y();'];
  const found = (head: string, foot = '}'): number[] =>
    longFunctions([head, ...body, foot], 3).map(({ length }) => length);
  t.deepEqual(found('export async function read(key: string): Promise<Uint8Array | undefined> {'), [4]);
  t.deepEqual(found('const read = (key: string): void => {', '};'), [4]);
  t.deepEqual(found("test('a', async (t) => {", '});'), [4]);
  t.deepEqual(found('): { a: string } {'), [4]);
  t.deepEqual(found('  async read(key: string) {', '  }'), [4]);
  t.deepEqual(found('if (a) {'), []);
  t.deepEqual(found('} else if (a) {'), []);
  t.deepEqual(found('export class Store {'), []);
  t.deepEqual(found('const table = {', '};'), []);
});

test('the core rooms together can be read in a day', (t) => {
  const sizes = CORE.map((room) => {
    const own = files.filter((file) => file.room === room);
    return { room, code: own.reduce((sum, file) => sum + codeLines(file.text), 0) };
  });
  const total = sizes.reduce((sum, { code }) => sum + code, 0);
  const figure = `${total} lines of code (${sizes.map(({ room, code }) => `${room} ${code}`).join(', ')})`;
  t.log(`core: ${figure}`);
  t.true(total <= CORE_LIMIT, `the core rooms have ${figure}, more than ${CORE_LIMIT}; make one of them simpler`);
});

test('files are named in words of the field', (t) => {
  const vague = files.filter(({ path }) =>
    (path.match(/[a-z0-9]+/g) ?? []).some((word) => EMPTY_WORDS.includes(word.replace(/s$/, ''))),
  );
  t.deepEqual(
    vague.map(({ path }) => `${path} says nothing about what is in it; name it after its noun`),
    [],
  );
});

test('no barrels, default exports, enums, any or hidden imports', (t) => {
  const found = files.flatMap(({ path, text }) =>
    Object.entries(FORBIDDEN).flatMap(([what, form]) => (form.test(codeOf(text)) ? `${path} ${what}` : [])),
  );
  t.deepEqual(found, []);
});

test('every form of what is forbidden is recognised, and what only looks like it is not', (t) => {
  const objections = (text: string): number =>
    Object.values(FORBIDDEN).filter((form) => form.test(codeOf(text))).length;
  for (const text of [
    'export default class A {}',
    "export * from './a.ts';",
    "export type { A } from './a.ts';",
    'export const enum Kind { A }',
    'const a: any = 1;',
    'const b = x as any;',
    'const c: Map<string, any> = new Map();',
    'function d(...rest: any[]) {}',
    'await import(name);',
    "const forge = createRequire(import.meta.url)('node-forge');",
  ])
    t.is(objections(text), 1, text);
  for (const text of [
    'export { a };',
    '// takes any host: any at all',
    "const text = 'of: any';",
    'const company: Company = any(x);',
    "await import('./a.ts');",
  ])
    t.is(objections(text), 0, text);
});
