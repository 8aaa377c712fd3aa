import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runIsolated } from '../clients/namespace.ts';
import { build, makeBase } from './build.ts';
import { inspected, lean } from './contents.ts';
import { buildCoreDns, leads } from './name-server.ts';
import { Storage } from './storage.ts';

interface Result {
  readonly name: string;
  readonly milliseconds: number;
  readonly error?: string;
}

const CACHE = '/var/cache/layover-test';
const results: Result[] = [];

if (process.getuid?.() !== 0) {
  console.error('test:image needs root: it builds an image and runs it in namespaces of its own');
  console.log('image: 0 passed, 1 failed');
  process.exit(1);
}
const folder = await mkdtemp(join(tmpdir(), 'layover-image-'));
try {
  await everything(new Storage(folder));
} finally {
  await rm(folder, { recursive: true, force: true, maxRetries: 3 });
}
const failed = results.filter(({ error }) => error !== undefined).length;
console.log(`image: ${results.length - failed} passed, ${failed} failed`);
if (failed > 0) process.exitCode = 1;

async function everything(storage: Storage): Promise<void> {
  await step('a name server leads the names to the gateway', async () => leads(await buildCoreDns(CACHE), folder));
  const isBuilt = await step('the image is built', async () => {
    await build(storage, await makeBase(storage, folder), folder);
  });
  if (!isBuilt) return;
  await step('the image says what it is', () => inspected(storage));
  await step('the image holds what runs and nothing else', () => lean(storage));
  const walk = join(import.meta.dirname, 'walk.ts');
  await runIsolated(walk, ['--folder', folder], 400_000, (line) => report(JSON.parse(line) as Result)).catch(
    (cause: Error) => report({ name: 'the container', milliseconds: 0, error: cause.message }),
  );
}

async function step(name: string, work: () => Promise<unknown>): Promise<boolean> {
  const started = performance.now();
  const error = await work().then(
    () => undefined,
    (cause: unknown) => (cause instanceof Error ? cause.message : String(cause)),
  );
  report({ name, milliseconds: Math.round(performance.now() - started), ...(error !== undefined && { error }) });
  return error === undefined;
}

function report(result: Result): void {
  results.push(result);
  const { name, milliseconds, error } = result;
  const mark = error === undefined ? 'ok  ' : 'FAIL';
  console.log(
    `${mark} ${name} (${(milliseconds / 1000).toFixed(1)} s)${error === undefined ? '' : `\n     ${error.replaceAll('\n', '\n     ')}`}`,
  );
}
