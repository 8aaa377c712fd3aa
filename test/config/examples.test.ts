import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { glob, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import test from 'ava';
import { parse } from 'yaml';
import * as z from 'zod';
import { configSchema, type JsonSchema } from '../../src/config/json-schema.ts';
import { createAuthority } from '../support/pki.ts';

const ROOT = join(import.meta.dirname, '../..');
const MAIN = join(ROOT, 'src/cli/main.ts');
const EXAMPLES = await Array.fromAsync(glob('config/examples/*.yaml', { cwd: ROOT }));
const schema = JSON.parse(await readFile(join(ROOT, 'config/gateway.schema.json'), 'utf8')) as JsonSchema;
const written = z.fromJSONSchema(schema);

/** Ports and paths that a test may use, over those of an example. */
function environment(dir: string): NodeJS.ProcessEnv {
  return {
    ...process.env,
    LAYOVER_LISTEN_HTTPS: '127.0.0.1:0',
    LAYOVER_LISTEN_HTTP: '127.0.0.1:0',
    LAYOVER_LISTEN_ADMIN: '127.0.0.1:0',
    LAYOVER_CERTS_DIR: join(dir, 'certs'),
    LAYOVER_STORAGE_ROOT: join(dir, 'data'),
    LAYOVER_LOG_LEVEL: 'warn',
    LAYOVER_LOG_ACCESS_FILE: join(dir, 'access.log'),
  };
}

/** The files that an example names beside itself. */
async function putFiles(dir: string): Promise<void> {
  for (const [name, content] of [
    ['secrets/docker-hub', 'secret\n'],
    ['secrets/harbor', 'secret\n'],
    ['secrets/users.htpasswd', ''],
    ['headquarters.pem', createAuthority().ca],
  ] as const) {
    await mkdir(dirname(join(dir, name)), { recursive: true });
    await writeFile(join(dir, name), content, { mode: 0o600 });
  }
}

test('there is an example for each sort of use', (t) => {
  t.is(EXAMPLES.length, 5);
});

for (const example of EXAMPLES) {
  test(`${example} is what the schema describes, and a gateway starts with it`, async (t) => {
    const text = await readFile(join(ROOT, example), 'utf8');
    t.regex(text, /^# yaml-language-server: \$schema=\.\.\/gateway\.schema\.json\n/);
    t.deepEqual(written.safeParse(parse(text)).error?.issues ?? [], []);
    const dir = await mkdtemp(join(tmpdir(), 'layover-example-'));
    t.teardown(() => rm(dir, { recursive: true, force: true }));
    await putFiles(dir);
    const args = [MAIN, 'start', '--json', '--config', join(ROOT, example)];
    const child = spawn(process.execPath, args, {
      cwd: dir,
      env: environment(dir),
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    t.teardown(() => child.kill('SIGKILL'));
    const [line] = (await once(createInterface({ input: child.stdout }), 'line')) as [string];
    const { admin } = JSON.parse(line) as { admin: string };
    t.is((await fetch(`http://${admin}/readyz`)).status, 200);
    child.kill('SIGTERM');
    t.deepEqual(await once(child, 'exit'), [0, null]);
  });
}

test('config/gateway.schema.json is what layover config schema prints', async (t) => {
  const child = spawn(process.execPath, [MAIN, 'config', 'schema'], { stdio: ['ignore', 'pipe', 'inherit'] });
  const chunks = await child.stdout.toArray();
  t.deepEqual(
    JSON.parse(Buffer.concat(chunks).toString()),
    schema,
    'layover config schema > config/gateway.schema.json && npm run format',
  );
});

test('the schema accepts the shipped file with every key uncommented', async (t) => {
  const text = await readFile(join(ROOT, 'config/gateway.yaml'), 'utf8');
  t.deepEqual(written.safeParse(parse(text.replaceAll(/^#(?! \S)/gm, ''))).error?.issues ?? [], []);
});

test('the schema accepts every example of the page about the configuration', async (t) => {
  const page = await readFile(join(ROOT, 'docs/configuration.md'), 'utf8');
  for (const [, example = ''] of page.matchAll(/^```yaml\n(.*?)^```$/gms)) {
    t.deepEqual(written.safeParse(parse(example)).error?.issues ?? [], [], example);
  }
});

const WRONG = [
  'listen: { htps: ":443" }',
  'log: { level: loud }',
  'names: gateway.lan',
  'upstreams: { ghcr.io: { url: "https://ghcr.io" } }',
  'upstreams: { ghcr.io: { credentials: { username: a } } }',
  'upstreams: { ghcr.io: { urls: [] } }',
  'grants: { offline: 24 }',
  'grants: { offline: soon }',
  'storage: ./data',
];

for (const text of WRONG) {
  test(`the schema refuses ${text}`, (t) => {
    t.false(written.safeParse(parse(text)).success);
  });
}

test('the schema names the defaults', (t) => {
  const properties = configSchema().properties as Record<string, JsonSchema>;
  t.like(properties.listen?.properties, { https: { default: '[::]:443' } });
  t.like(properties.grants?.properties, { offline: { default: '24h' } });
  t.like(properties.mirror?.properties, { default: { default: 'docker.io' } });
});
