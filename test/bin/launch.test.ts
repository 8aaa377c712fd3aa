import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { text } from 'node:stream/consumers';
import test, { type ExecutionContext } from 'ava';

const CLI = `
const shown: unknown = { args: process.argv.slice(2), pid: process.pid, flags: process.execArgv, threads: process.env.UV_THREADPOOL_SIZE };
if (process.argv.includes('wait')) {
  for (const signal of ['SIGHUP', 'SIGUSR2']) process.on(signal, () => console.log(signal));
  process.on('SIGTERM', () => process.exit(7));
  setInterval(() => {}, 1000);
}
console.log(JSON.stringify(shown));
if (process.argv.includes('die')) process.kill(process.pid, 'SIGKILL');
`;
/** Makes the launcher take the way of Nodes that cannot replace their own process. */
const WITHOUT_EXECVE = { NODE_OPTIONS: '--import=data:text/javascript,process.execve=undefined' };

/** A project of the launcher and a command line that shows how it was started. */
async function project(t: ExecutionContext): Promise<string> {
  const root = await mkdtemp(join(tmpdir(), 'layover-launch-'));
  t.teardown(() => rm(root, { recursive: true }));
  await cp('bin', join(root, 'bin'), { recursive: true });
  await cp('security-floor.json', join(root, 'security-floor.json'));
  await mkdir(join(root, 'src', 'cli'), { recursive: true });
  await writeFile(join(root, 'package.json'), '{ "type": "module" }');
  await writeFile(join(root, 'src', 'cli', 'main.ts'), CLI);
  return root;
}

function start(
  t: ExecutionContext,
  root: string,
  args: string[],
  env: NodeJS.ProcessEnv = {},
): ChildProcessWithoutNullStreams {
  const { UV_THREADPOOL_SIZE: _, NODE_OPTIONS: __, ...inherited } = process.env;
  const child = spawn(process.execPath, ['bin/layover.js', ...args], { cwd: root, env: { ...inherited, ...env } });
  t.teardown(() => child.kill('SIGKILL'));
  return child;
}

interface Run {
  readonly out: string;
  readonly err: string;
  /** Exit code and signal. */
  readonly end: unknown[];
}

async function run(t: ExecutionContext, root: string, args: string[], env?: NodeJS.ProcessEnv): Promise<Run> {
  const child = start(t, root, args, env);
  const [out, err, end] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')]);
  return { out, err, end };
}

test('the command line gets its arguments, hardening flags and a pool of at least 16 threads', async (t) => {
  const shown = JSON.parse((await run(t, await project(t), ['ca', 'show', '--json'])).out);
  t.deepEqual(shown.args, ['ca', 'show', '--json']);
  t.true(Number(shown.threads) >= 16);
  t.true(shown.flags.includes('--disable-proto=delete'));
});

test('a thread pool size that the user set is kept', async (t) => {
  const { out } = await run(t, await project(t), [], { UV_THREADPOOL_SIZE: '5' });
  t.is(JSON.parse(out).threads, '5');
});

test('where Node can, the launcher becomes the command line and leaves no process of its own', async (t) => {
  const child = start(t, await project(t), []);
  t.is(JSON.parse(await text(child.stdout)).pid, child.pid);
});

for (const [way, env] of Object.entries({ 'by replacing itself': {}, 'with a child': WITHOUT_EXECVE })) {
  test(`started ${way}, the launcher passes signals on and ends with the same exit code`, async (t) => {
    const child = start(t, await project(t), ['wait'], env);
    const lines = child.stdout.setEncoding('utf8')[Symbol.asyncIterator]();
    await lines.next();
    for (const signal of ['SIGHUP', 'SIGUSR2'] as const) {
      child.kill(signal);
      t.is((await lines.next()).value, `${signal}\n`);
    }
    const ended = once(child, 'exit');
    child.kill('SIGTERM');
    t.deepEqual(await ended, [7, null]);
  });

  test(`started ${way}, the launcher dies of the signal that the command line died of`, async (t) => {
    const { end } = await run(t, await project(t), ['die'], env);
    t.deepEqual(end, [null, 'SIGKILL']);
  });
}

test('switching off TLS verification for the whole process is refused', async (t) => {
  const { err, end } = await run(t, await project(t), ['start'], { NODE_TLS_REJECT_UNAUTHORIZED: '0' });
  t.regex(err, /^layover: NODE_TLS_REJECT_UNAUTHORIZED=0 .*; unset it/);
  t.deepEqual(end, [2, null]);
});

test('starting on a Node below the security floor warns in one line, other commands do not', async (t) => {
  const root = await project(t);
  const floor = { node: { floor: '999.0.0', reason: 'everything' } };
  await writeFile(join(root, 'security-floor.json'), JSON.stringify(floor));
  for (const args of [[], ['start'], ['--config', 'gateway.yaml']]) {
    const { err } = await run(t, root, args);
    t.is(err, `layover: warning: Node.js ${process.versions.node} is below 999.0.0, which fixes everything\n`);
  }
  t.is((await run(t, root, ['ca', 'show'])).err, '');
});

const lock = (packages: object): string => JSON.stringify({ packages: { '': {}, ...packages } });

/** Puts an `npm` first on the PATH that notes its arguments and installs what the lock file says. */
async function withNpm(root: string): Promise<NodeJS.ProcessEnv> {
  const bin = join(root, 'npm-bin');
  await mkdir(bin);
  const script =
    '#!/bin/sh\necho "$@" > npm-args\nmkdir -p node_modules && cp package-lock.json node_modules/.package-lock.json\n';
  await writeFile(join(bin, 'npm'), script);
  await chmod(join(bin, 'npm'), 0o755);
  return { PATH: `${bin}${delimiter}${process.env.PATH}` };
}

test('a clone without its packages installs them first, and only once', async (t) => {
  const root = await project(t);
  const env = await withNpm(root);
  await writeFile(join(root, 'package-lock.json'), lock({ 'node_modules/undici': { version: '8.12.4' } }));
  const first = await run(t, root, ['version'], env);
  t.regex(first.err, /installing the packages/);
  t.deepEqual(JSON.parse(first.out).args, ['version']);
  t.regex(await readFile(join(root, 'npm-args'), 'utf8'), /^install --no-save/);
  t.is((await run(t, root, ['version'], env)).err, '');
});

test('a package of another version than the lock file says is installed anew', async (t) => {
  const root = await project(t);
  const env = await withNpm(root);
  await mkdir(join(root, 'node_modules'));
  const [old, current] = ['8.12.3', '8.12.4'].map((version) => lock({ 'node_modules/undici': { version } }));
  await writeFile(join(root, 'node_modules', '.package-lock.json'), old ?? '');
  await writeFile(join(root, 'package-lock.json'), current ?? '');
  t.regex((await run(t, root, ['version'], env)).err, /installing/);
});

test('the command line needs no development packages and none for other platforms', async (t) => {
  const root = await project(t);
  const env = await withNpm(root);
  const packages = {
    'node_modules/ava': { version: '8.0.0', dev: true },
    'node_modules/for-windows': { version: '1.0.0', optional: true },
  };
  await writeFile(join(root, 'package-lock.json'), lock(packages));
  t.is((await run(t, root, ['version'], env)).err, '');
});

test('an install that fails ends the launcher with a word about it', async (t) => {
  const root = await project(t);
  const env = await withNpm(root);
  await writeFile(join(root, 'npm-bin', 'npm'), '#!/bin/sh\nexit 3\n');
  await writeFile(join(root, 'package-lock.json'), lock({ 'node_modules/undici': { version: '8.12.4' } }));
  const { err, end } = await run(t, root, ['version'], env);
  t.regex(err, /npm install failed/);
  t.deepEqual(end, [1, null]);
});
