import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import fc from 'fast-check';
import { stringify } from 'yaml';
import type { Config } from '../../src/config/config.ts';
import { ConfigError } from '../../src/config/error.ts';
import { loadConfig } from '../../src/config/load.ts';

let cwd = '';

test.before(async () => {
  cwd = await mkdtemp(join(tmpdir(), 'layover-config-'));
});

test.after.always(async () => {
  await rm(cwd, { recursive: true, force: true });
});

async function load(file: string, text: string): Promise<Config> {
  await writeFile(join(cwd, file), text);
  return loadConfig({ file, env: {}, cwd });
}

const KEYS = [
  'listen',
  'names',
  'dns',
  'pins',
  'upstreams',
  'ghcr.io',
  'hosts',
  'urls',
  'credentials',
  'tags',
  '__proto__',
  '<<',
];
const SCALARS = [
  '',
  'null',
  '*a',
  '&a',
  '443',
  '[::]:443',
  'https://a',
  '!x',
  '{',
  ']',
  '- ',
  '? ',
  ': ',
  '|',
  '%',
  '"',
  '\t',
  '---\n',
];

const shapes = fc.letrec((tie) => ({
  value: fc.oneof({ maxDepth: 5 }, fc.constantFrom(...SCALARS), fc.jsonValue(), fc.array(tie('value')), tie('map')),
  map: fc.dictionary(fc.oneof(fc.constantFrom(...KEYS), fc.string()), tie('value')),
}));

const texts = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc
    .array(fc.constantFrom(...KEYS.map((key) => `${key}: `), ...SCALARS, '\n', '\n  ', ' '), { maxLength: 60 })
    .map((parts) => parts.join('')),
  shapes.map.map((value) => stringify(value)),
);

test('whatever is in the file, the answer is a configuration or its mistakes, one line each', async (t) => {
  const file = 'random.yaml';
  const check = fc.asyncProperty(texts, async (text) => {
    try {
      await load(file, text);
    } catch (error) {
      if (!(error instanceof ConfigError) || error.problems.length === 0) throw error;
      for (const line of error.problems) t.regex(line, /^random\.yaml:\d+:\d+ [^\n]+: expected [^\n]+, got [^\n]+$/);
    }
  });
  await t.notThrowsAsync(fc.assert(check, { numRuns: 300 }));
});

for (const [title, text] of [
  ['nested ten thousand lists deep', `a: ${'['.repeat(10_000)}`],
  ['nested two thousand block lists deep', '- '.repeat(2000)],
  ['with an alias that holds itself', 'names: &a [*a, *a]'],
  [
    'with aliases that multiply',
    ['a0: &a0 [x]', ...Array.from({ length: 40 }, (_, i) => `a${i + 1}: &a${i + 1} [*a${i}, *a${i}, *a${i}]`)].join(
      '\n',
    ),
  ],
] as const) {
  test.serial(`a file ${title} is refused in good time`, async (t) => {
    const started = performance.now();
    await t.throwsAsync(load('hostile.yaml', text), { instanceOf: ConfigError });
    t.true(performance.now() - started < 5000);
  });
}
