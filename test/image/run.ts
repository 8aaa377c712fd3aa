import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { runIsolated } from '../clients/namespace.ts';
import { run } from '../clients/process.ts';
import { build, IMAGE, makeBase } from './build.ts';
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
  const coredns = await buildCoreDns(CACHE);
  await step('a name server leads the names to the gateway', () => leads(coredns, folder));
  const isBuilt = await step('the image is built', async () => {
    await build(storage, await makeBase(storage, folder), folder);
  });
  if (!isBuilt) return;
  await step('the image says what it is', () => inspected(storage));
  await step('the image holds what runs and nothing else', () => lean(storage));
  await inside('walk.ts', []);
  const [image, dns] = [join(folder, 'layover.tar'), join(folder, 'coredns.tar')];
  await storage.podman(['save', '--output', image, IMAGE], { timeout: 180_000 });
  await run(['tar', '--create', '--file', dns, '--transform', 's/.*/coredns/', '-C', CACHE, basename(coredns)]);
  await inside('compose.ts', ['--image', image, '--dns', dns]);
}

/** Runs a program in namespaces of its own, which tells its steps. */
async function inside(program: string, args: readonly string[]): Promise<void> {
  const path = join(import.meta.dirname, program);
  await runIsolated(path, ['--folder', folder, ...args], 400_000, (line) => report(JSON.parse(line) as Result)).catch(
    (cause: Error) => report({ name: program, milliseconds: 0, error: cause.message }),
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
