import { access, glob } from 'node:fs/promises';
import { dirname, join, normalize } from 'node:path';
import test from 'ava';
import { parse } from 'yaml';
import { jsonLine } from '../src/telemetry/access-log.ts';
import { anchorsOf, linksOf, readDocument } from './support/markdown.ts';
import { requestEvent } from './telemetry/events.ts';

const ROOT = join(import.meta.dirname, '..');
const documents = await Array.fromAsync(glob(['*.md', '{docs,nginx-compat,certs}/**/*.md'], { cwd: ROOT }));

test('every link between documents leads to a file and to a heading that is there', async (t) => {
  t.true(documents.includes('README.md') && documents.includes('docs/clients.md'));
  for (const document of documents) {
    for (const link of linksOf(await readDocument(document))) {
      if (/^[a-z]+:/.test(link)) continue;
      const [path = '', anchor] = link.split('#');
      const target = path === '' ? document : normalize(join(dirname(document), path));
      await t.notThrowsAsync(access(join(ROOT, target)), `${document}: ${link}`);
      if (anchor !== undefined && target.endsWith('.md'))
        t.true(anchorsOf(await readDocument(target)).includes(anchor), `${document}: ${link}`);
    }
  }
});

test('every command that the documents name exists', async (t) => {
  const { scripts } = JSON.parse(await readDocument('package.json')) as { scripts: Record<string, string> };
  const usage = await readDocument('src/cli/main.ts');
  for (const document of documents) {
    const text = await readDocument(document);
    for (const [, script = ''] of text.matchAll(/\bnpm run ([a-z:]+)/g))
      t.true(script in scripts, `${document}: ${script}`);
    for (const [, command = ''] of text.matchAll(
      /`(?:npx )?layover (ca [a-z]+|config schema|log report|import-config [a-z]+|nginx-compat [a-z]+|[a-z]+)/g,
    ))
      t.true(usage.includes(`case '${command}':`), `${document}: layover ${command}`);
  }
});

test('the operations page explains every reason and every metric there is', async (t) => {
  const page = await readDocument('docs/operations.md');
  const [, union = ''] = /export type Why =([^;]*);/.exec(await readDocument('src/cache/answer.ts')) ?? [];
  const reasons = [...union.matchAll(/'([a-z-]+)'/g)].map(([, why]) => why);
  t.true(reasons.length > 10);
  const sources = await Array.fromAsync(glob('src/{gateway,registry}/*.ts', { cwd: ROOT }));
  for (const source of sources) {
    const outcomes = (await readDocument(source)).matchAll(/cache: '[a-z]+', why: '([a-z-]+)'/g);
    reasons.push(...[...outcomes].map(([, why]) => why));
  }
  const counted = await Array.fromAsync(glob('src/telemetry/*metrics.ts', { cwd: ROOT }), readDocument);
  const metrics = counted.flatMap((source) => [...source.matchAll(/'(layover_[a-z_]+)'/g)]);
  t.true(metrics.length > 20);
  for (const name of [...reasons, ...metrics.map(([, metric]) => metric)]) t.true(page.includes(`\`${name}\``), name);
});

test('the operations page explains every field of the access log', async (t) => {
  const page = await readDocument('docs/operations.md');
  const [, table = ''] = /^With `format: json`:\n(.*?)^`format: nginx`/ms.exec(page) ?? [];
  const event = requestEvent({ upstream: 'docker.io', error: 'failed' });
  for (const field of Object.keys(JSON.parse(jsonLine(event, new Date()))))
    t.true(table.includes(`\`${field}\``), field);
});

test('the compose file mounts what the gateway writes and publishes the ports that it listens on', async (t) => {
  const { services } = parse(await readDocument('compose.yaml'), { merge: true }) as {
    services: { layover: { volumes: string[]; ports: string[] } };
  };
  const { ports, volumes } = services.layover;
  t.deepEqual(ports, ['443:443', '5000:5000']);
  const [, entrypoint = '[]'] = /^ENTRYPOINT (.*)$/m.exec(await readDocument('Dockerfile')) ?? [];
  const [, program = ''] = JSON.parse(entrypoint) as string[];
  await t.notThrowsAsync(access(join(ROOT, program.replace('/opt/layover/', ''))));
  for (const folder of ['data', 'certs', 'logs']) t.true(volumes.includes(`${folder}:/layover/${folder}`));
});
