import { createHash } from 'node:crypto';
import { copyFile, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { ARCHITECTURES, type Architecture, DEBIAN_NAME, type Places } from './architecture.ts';
import { addLibraries } from './libraries.ts';
import { addNode } from './node.ts';
import { run } from './run.ts';

const USAGE = `usage: npm run archive -- [--arch ${ARCHITECTURES.join('|')}] [--out DIR] [--node FILE]
  --arch  of the machines that it is for; this one's unless given
  --out   where layover-VERSION-linux-ARCH.tar.gz and its .sha256 go; artifacts unless given
  --node  a binary of Node to put in, instead of the pinned one`;

const ROOT = join(import.meta.dirname, '..');
/** What npm gives the files of its packages: the time at which something was packed is no part of it. */
const LONG_AGO = '1985-10-26T08:15:00Z';

/** A program: makes an archive that needs nothing of the system that it is unpacked on. The same input gives the same bytes. */
process.exitCode = await main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  return 1;
});

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      arch: { type: 'string', default: process.arch },
      out: { type: 'string', default: join(ROOT, 'artifacts') },
      node: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  const arch = ARCHITECTURES.find((known) => known === values.arch);
  if (values.help || arch === undefined) {
    console.error(USAGE);
    return values.help ? 0 : 2;
  }
  const stage = await mkdtemp(join(tmpdir(), 'layover-archive-'));
  try {
    console.log(await makeArchive(stage, resolve(values.out), arch, values.node && resolve(values.node)));
  } finally {
    await rm(stage, { recursive: true });
  }
  return 0;
}

/** Resolves to the line of the `.sha256`: digest and name. */
async function makeArchive(stage: string, out: string, arch: Architecture, node?: string): Promise<string> {
  const { version } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8')) as { version: string };
  const name = `layover-${version}-linux-${arch}`;
  const top = join(stage, name);
  const places = { work: stage, top, lib: join(top, 'runtime', 'lib'), licenses: join(top, 'licenses') };
  for (const folder of [out, places.lib, places.licenses]) await mkdir(folder, { recursive: true });
  await addProgram(places, version);
  const parts = [
    await addNode(places, arch, node),
    ...(await addLibraries(places, arch)),
    await addLauncher(places, arch),
  ];
  await writeFile(join(top, 'runtime', 'versions.txt'), parts.map((part) => `${part}\n`).join(''));
  const file = join(out, `${name}.tar.gz`);
  const same = [
    '--sort=name',
    `--mtime=${LONG_AGO}`,
    '--owner=0',
    '--group=0',
    '--numeric-owner',
    '--mode=u=rwX,go=rX',
  ];
  await run('tar', [...same, '--format=ustar', '--use-compress-program=gzip -n', '-cf', file, '-C', stage, name]);
  const line = `${createHash('sha256')
    .update(await readFile(file))
    .digest('hex')}  ${name}.tar.gz`;
  await writeFile(`${file}.sha256`, `${line}\n`);
  return line;
}

/** The package that npm makes, with what it depends on, as the lock file has it. */
async function addProgram({ work, top }: Places, version: string): Promise<void> {
  const app = join(top, 'app');
  await mkdir(app);
  await run('npm', ['pack', '--loglevel=error', '--pack-destination', work], { cwd: ROOT });
  await run('tar', ['-xzf', join(work, `layover-${version}.tgz`), '--strip-components=1', '-C', app]);
  await copyFile(join(ROOT, 'package-lock.json'), join(app, 'package-lock.json'));
  const quietly = ['--no-save', '--no-audit', '--no-fund', '--no-bin-links', '--prefer-offline', '--loglevel=error'];
  await run('npm', ['install', '--omit=dev', '--ignore-scripts', ...quietly], { cwd: app });
  // They would make a clone of it, which installs what is missing by itself.
  for (const lock of ['package-lock.json', 'node_modules/.package-lock.json']) await rm(join(app, lock));
}

/** `./layover`, and the name under which it is the Node of the archive. */
async function addLauncher({ top, licenses }: Places, arch: Architecture): Promise<string> {
  const env = { CGO_ENABLED: '0', GOOS: 'linux', GOARCH: DEBIAN_NAME[arch], GO111MODULE: 'off', GOFLAGS: '' };
  const flags = ['-trimpath', '-buildvcs=false', '-ldflags=-s -w -buildid='];
  const launcher = join(import.meta.dirname, 'launcher');
  await run('go', ['build', ...flags, '-o', join(top, 'layover'), join(launcher, 'launcher.go')], { env });
  await copyFile(join(launcher, 'exec-path.cjs'), join(top, 'runtime', 'exec-path.cjs'));
  await symlink('../layover', join(top, 'runtime', 'node'));
  await copyFile(join(await run('go', ['env', 'GOROOT']), 'LICENSE'), join(licenses, 'go'));
  return (await run('go', ['version'])).replace(/^go version go(\S+).*/, 'go $1');
}
