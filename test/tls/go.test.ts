import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { createLeaves } from '../../src/tls/leaves.ts';
import { issue, serve, temporaryRoot } from './fixture.ts';
import { run } from './program.ts';

const source = fileURLToPath(new URL('verify/main.go', import.meta.url));

test('a Go client accepts what the root covers and refuses everything else', async (t) => {
  // The first build compiles Go's own TLS, quicker when it may be slow; later ones find it in Go's cache.
  t.timeout(150_000);
  const root = await temporaryRoot(t, '192.0.2.1');
  const presented = (name: string) => name === 'registry.example';
  const { port } = await serve(t, createLeaves(root, { own: ['gateway.lan', '192.0.2.1'], presented }));
  const leaf = async (...names: string[]) => {
    const file = join(root.dir, `${names.join('_').replaceAll(':', '-')}.crt`);
    await writeFile(file, issue(root, ...names).cert);
    return file;
  };
  const outside = /not permitted by any constraint|is excluded by constraint/;
  const table: readonly (readonly [string, RegExp])[] = [
    [`dial 127.0.0.1:${port} registry.example`, /^ok$/],
    [`dial 127.0.0.1:${port} gateway.lan`, /^ok$/],
    [`dial 127.0.0.1:${port} 192.0.2.1`, /^ok$/],
    [`dial 127.0.0.1:${port} evil.example`, /unrecognized name/],
    [`verify ${await leaf('deep.registry.example')} deep.registry.example`, /^ok$/],
    [`verify ${await leaf('*.registry.example')} any.registry.example`, /^ok$/],
    [`verify ${await leaf('*.evil.example')} any.evil.example`, outside],
    [`verify ${await leaf('localhost', '192.0.2.1')} [192.0.2.1]`, /^ok$/],
    [`verify ${await leaf('evil.example')} evil.example`, outside],
    [`verify ${await leaf('xregistry.example')} xregistry.example`, outside],
    [`verify ${await leaf('localhost', 'evil.example')} localhost`, outside],
    [`verify ${await leaf('localhost', '192.0.2.2')} localhost`, outside],
    [`verify ${await leaf('localhost', '::1')} localhost`, outside],
  ];
  const binary = join(root.dir, 'verify');
  const built = await run(t, 'go', ['build', '-gcflags=all=-N -l', '-o', binary, source]);
  if (built === undefined) return;
  t.is(built.code, 0, built.output);
  const questions = table.map(([question]) => `${question}\n`).join('');
  const answers = (await run(t, binary, [join(root.dir, 'ca.crt')], questions))?.output.trim().split('\n');
  t.is(answers?.length, table.length);
  for (const [index, [question, expected]] of table.entries()) t.regex(answers?.[index] ?? '', expected, question);
});
