import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import test, { type ExecutionContext } from 'ava';
import { NODE } from '../../pack/node.ts';
import { markedBlock, readDocument } from '../support/markdown.ts';
import { run, walk } from './installed.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const PATH = [dirname(process.execPath), process.env.PATH, '/usr/local/go/bin', '/usr/sbin', '/sbin'].join(delimiter);
const ENVIRONMENT = { ...process.env, PATH };
const NEEDED = ['go', 'apt-get', 'dpkg-deb', 'unshare', 'chroot'];
/** AArch64 in an ELF header. */
const ARM64 = 183;

const execute = promisify(execFile);

/** Why archives cannot be made and run here; an empty text where they can. */
const obstacle = obstacles().join(', ');

function obstacles(): string[] {
  const missing = NEEDED.filter((name) => !PATH.split(delimiter).some((folder) => existsSync(join(folder, name))));
  const system = process.platform === 'linux' && process.arch === 'x64' ? [] : ['this is not Linux on x64'];
  return [...system, ...(process.getuid?.() === 0 ? [] : ['not root']), ...missing.map((name) => `no ${name}`)];
}

function testHere(title: string, implementation: (t: ExecutionContext) => Promise<void>): void {
  test.serial(title, async (t) => {
    t.timeout(900_000);
    if (obstacle === '') return implementation(t);
    t.log(`skipped: ${obstacle}`);
    t.pass();
  });
}

async function temporary(t: ExecutionContext): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'layover-archives-'));
  t.teardown(() => rm(dir, { recursive: true, force: true, maxRetries: 5 }));
  return dir;
}

/** Makes an archive as the release does; resolves to its file. */
async function make(out: string, ...args: string[]): Promise<string> {
  const script = [join(ROOT, 'bin', 'runtime.js'), 'pack/archive.ts', '--out', out, ...args];
  await execute(process.execPath, script, { cwd: ROOT, env: ENVIRONMENT });
  const [name = ''] = (await readdir(out)).filter((file) => file.endsWith('.tar.gz'));
  return join(out, name);
}

async function unpack(archive: string, to: string): Promise<string> {
  await mkdir(to);
  await execute('tar', ['-xzf', archive, '-C', to, '--strip-components=1']);
  return to;
}

async function sha256(file: string): Promise<string> {
  return createHash('sha256')
    .update(await readFile(file))
    .digest('hex');
}

testHere('an archive is all there is in an otherwise empty root, and serves from there', async (t) => {
  const dir = await temporary(t);
  const archive = await make(join(dir, 'out'), '--arch', 'x64');
  t.regex(archive, /layover-\d+\.\d+\.\d+-linux-x64\.tar\.gz$/);
  const [digest, name] = (await readFile(`${archive}.sha256`, 'utf8')).trim().split('  ');
  t.is(digest, await sha256(archive));
  t.is(join(dir, 'out', name ?? ''), archive);

  const page = markedBlock(await readDocument('docs/install.md'), 'archive');
  const typed = page.replaceAll('sudo ', '').replace(/^layover$/m, 'layover check');
  const aside = ['/opt', '/usr/local/bin'].map((folder) => `mount -t tmpfs tmpfs ${folder}`).join(' && ');
  const options = { cwd: join(dir, 'out'), env: ENVIRONMENT };
  const followed = await execute('unshare', ['-m', 'sh', '-euc', `${aside}\n${typed}`], options);
  t.regex(followed.stdout, /: OK\nthe configuration is right\n/);

  const empty = await unpack(archive, join(dir, 'empty root'));
  const held = await readdir(empty);
  t.deepEqual(held.sort(), ['app', 'layover', 'licenses', 'runtime']);
  const without = await run(t, { command: ['chroot', empty, '/layover'], dir: empty }, 'check');
  t.like(without, {
    code: 1,
    err: 'layover: cannot find what lies beside it without /proc: readlink /proc/self/exe: no such file or directory\n',
  });

  await mkdir(join(empty, 'proc'));
  await mkdir(join(empty, 'dev'));
  await writeFile(join(empty, 'dev', 'null'), '');
  const mounts = 'mount -t proc proc "$0/proc" && mount --bind /dev/null "$0/dev/null"';
  const script = `${mounts} && exec chroot "$0" /layover "$@"`;
  await walk(t, { command: ['unshare', '-m', 'sh', '-euc', script, empty], dir: empty, env: {} });

  const moved = join(dir, 'moved');
  await rename(empty, moved);
  await symlink(join(moved, 'layover'), join(dir, 'gateway'));
  t.is((await run(t, { command: [join(dir, 'gateway')], dir, env: {} }, 'check')).code, 0);
  for (const license of ['node', 'libc6', 'go', 'LGPL-2.1', 'GPL-3'])
    t.true(existsSync(join(moved, 'licenses', license)), license);
});

testHere('the same input gives the same archive, for the other architecture too', async (t) => {
  const dir = await temporary(t);
  const header = Buffer.alloc(64);
  header.write('\x7fELF');
  header.writeUInt16LE(ARM64, 18);
  await writeFile(join(dir, 'node'), header);
  const args = ['--arch', 'arm64', '--node', join(dir, 'node')];
  const [first, second] = [await make(join(dir, 'first'), ...args), await make(join(dir, 'second'), ...args)];
  t.is(await sha256(first), await sha256(second));
  const unpacked = await unpack(first, join(dir, 'unpacked'));
  const lib = join(unpacked, 'runtime', 'lib');
  const programs = [join(unpacked, 'layover'), ...(await readdir(lib)).map((file) => join(lib, file))];
  t.true(programs.length > 8);
  for (const file of programs) t.is((await readFile(file)).readUInt16LE(18), ARM64, file);
});

test('archives have the Node that the clone has', async (t) => {
  const lock = JSON.parse(await readDocument('package-lock.json')) as { packages: Record<string, { version: string }> };
  t.is(lock.packages['node_modules/node']?.version, NODE.version);
});
