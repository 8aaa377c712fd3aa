import { execFile } from 'node:child_process';
import { access, cp, mkdir, mkdtemp, readFile, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import test, { type ExecutionContext } from 'ava';
import { markedBlock, readDocument } from '../support/markdown.ts';
import { sourceFiles } from '../support/source-files.ts';
import { type Installed, run, walk } from './installed.ts';

const ROOT = join(import.meta.dirname, '..', '..');
/** What `npm pack` reads. */
const PROJECT = ['bin', 'config', 'docs', 'pack', 'src', 'package.json', 'package-lock.json', 'security-floor.json'];
const TEXTS = ['CHANGELOG.md', 'LICENSE', 'README.md', 'SECURITY.md'];
/** As on a machine whose own Node is ours. */
const ENVIRONMENT = { ...process.env, PATH: `${dirname(process.execPath)}${delimiter}${process.env.PATH}` };

const execute = promisify(execFile);

interface Packed {
  readonly directory: string;
  readonly tarball: string;
  readonly files: readonly string[];
}

let packed: Packed;

test.before(async () => {
  packed = await pack(await mkdtemp(join(tmpdir(), 'layover-package-')));
});
test.after.always(() => rm(packed.directory, { recursive: true, force: true }));

/** `npm pack` of a copy of the project. */
async function pack(directory: string): Promise<Packed> {
  const copy = join(directory, 'project');
  for (const name of [...PROJECT, ...TEXTS]) await cp(join(ROOT, name), join(copy, name), { recursive: true });
  await symlink(join(ROOT, 'node_modules'), join(copy, 'node_modules'));
  const args = ['pack', '--json', '--loglevel=error', '--pack-destination', directory];
  const { stdout } = await execute('npm', args, { cwd: copy, env: ENVIRONMENT });
  const [told] = JSON.parse(stdout) as [{ filename: string; files: { path: string }[] }];
  return { directory, tarball: join(directory, told.filename), files: told.files.map(({ path }) => path).sort() };
}

/** The tarball installed as the page says, in a prefix of its own. */
async function install(t: ExecutionContext): Promise<Installed> {
  const prefix = await mkdtemp(join(tmpdir(), 'layover-installed-'));
  t.teardown(() => rm(prefix, { recursive: true, force: true, maxRetries: 5 }));
  const dir = join(prefix, 'elsewhere');
  await mkdir(dir);
  const PATH = `${join(prefix, 'bin')}${delimiter}${ENVIRONMENT.PATH}`;
  const env = { ...ENVIRONMENT, PATH, npm_config_prefix: prefix, npm_config_prefer_offline: 'true' };
  const script = markedBlock(await readDocument('docs/install.md'), 'npm').replace(/^layover start$/m, 'layover check');
  await execute('sh', ['-euc', script], { cwd: packed.directory, env });
  return { command: ['layover'], dir, env };
}

test('the package holds the program as JavaScript, its configuration and its pages, and nothing else', (t) => {
  const emitted = sourceFiles().map(({ path }) => path.replace(/^src/, 'dist').replace(/ts$/, 'js'));
  const [dist, others] = [packed.files.filter(isEmitted), packed.files.filter((path) => !isEmitted(path))];
  t.deepEqual(
    dist.filter((path) => path.endsWith('.js')),
    emitted.sort(),
  );
  const pages = others.filter((path) =>
    /^(?:docs\/[A-Za-z-]+\.md|config\/(?:examples\/)?[a-z.-]+|deploy\/[a-z]+\/[a-z.-]+)$/.test(path),
  );
  t.true(pages.includes('docs/configuration.md') && pages.includes('config/gateway.yaml'));
  t.deepEqual(
    others.filter((path) => !pages.includes(path)),
    [
      'CHANGELOG.md',
      'LICENSE',
      'README.md',
      'SECURITY.md',
      'bin/launch.js',
      'bin/layover.js',
      'package.json',
      'security-floor.json',
    ],
  );
});

function isEmitted(path: string): boolean {
  return path.startsWith('dist/');
}

test('every line and column of the JavaScript is where it was written, and what it names is there', async (t) => {
  for (const { path, text } of sourceFiles()) {
    const file = join(packed.directory, 'project', path.replace(/^src/, 'dist').replace(/ts$/, 'js'));
    const emitted = await readFile(file, 'utf8');
    t.deepEqual(lengths(emitted), lengths(text), path);
    for (const [, name = ''] of emitted.matchAll(/['"](\.{1,2}\/[^'"\n]*\.[jt]s)['"]/g))
      await t.notThrowsAsync(access(join(dirname(file), name)), `${path}: ${name}`);
  }
});

function lengths(text: string): number[] {
  return text.split('\n').map(({ length }) => length);
}

test('installed as the page says, it checks, serves with two processes, shows and reports', async (t) => {
  t.timeout(600_000);
  await walk(t, await install(t));
});

test('under an older Node an installed package says what it needs', async (t) => {
  t.timeout(600_000);
  const installed = await install(t);
  const older = "Object.defineProperty(process,'versions',{value:{...process.versions,node:'24.9.0'}})";
  const { npm_node_execpath: _, npm_config_user_agent: __, ...env } = installed.env ?? {};
  const NODE_OPTIONS = `--import=data:text/javascript,${older}`;
  const { code, out, err } = await run(t, { ...installed, env: { ...env, NODE_OPTIONS } }, 'start');
  t.deepEqual([code, out], [1, '']);
  t.regex(err, /^layover: this needs Node\.js 26 or newer, and this is v\d.*\n.*archive/);
});
