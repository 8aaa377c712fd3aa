import { copyFile, mkdir, readdir, readFile, readlink } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { type Architecture, DEBIAN_NAME, type Places } from './architecture.ts';
import { run } from './run.ts';

/** What Node is linked with, by Debian's packages. */
const LIBRARIES: Readonly<Record<string, readonly string[]>> = {
  libc6: ['libc.so.6', 'libm.so.6', 'libdl.so.2', 'libpthread.so.0'],
  'libgcc-s1': ['libgcc_s.so.1'],
  'libstdc++6': ['libstdc++.so.6'],
  libatomic1: ['libatomic.so.1'],
};
const LOADER: Readonly<Record<Architecture, string>> = { x64: 'ld-linux-x86-64.so.2', arm64: 'ld-linux-aarch64.so.1' };
const FOLDER: Readonly<Record<Architecture, string>> = { x64: 'x86_64-linux-gnu', arm64: 'aarch64-linux-gnu' };

/** Puts the loader and the libraries there, of the Debian that this machine is. Resolves to packages and versions. */
export async function addLibraries({ work, lib, licenses }: Places, arch: Architecture): Promise<readonly string[]> {
  const unpack = await openDebian(join(work, 'apt'), DEBIAN_NAME[arch]);
  const root = join(work, 'debian');
  const packages = Object.keys(LIBRARIES);
  const versions = await unpack(packages, root);
  const files = [...Object.values(LIBRARIES).flat(), LOADER[arch]];
  for (const file of files) await copyFirst([`lib/${FOLDER[arch]}`, `usr/lib/${FOLDER[arch]}`], root, file, lib);
  const pages = new Set(await Promise.all(packages.map((name) => pageOf(root, name))));
  const missing = [...pages].filter((name) => !packages.includes(name));
  versions.push(...(await unpack(missing, root)));
  for (const name of pages) await addLicense(join(root, 'usr/share/doc', name, 'copyright'), join(licenses, name));
  return versions.sort();
}

/** Unpacks packages without a word to the system's own apt, which may be of another architecture. */
async function openDebian(
  apt: string,
  arch: string,
): Promise<(packages: readonly string[], root: string) => Promise<string[]>> {
  await mkdir(join(apt, 'lists', 'partial'), { recursive: true });
  await mkdir(join(apt, 'archives', 'partial'), { recursive: true });
  const settings = [
    `Dir::State=${apt}`,
    'Dir::State::status=/dev/null',
    `Dir::Cache=${apt}`,
    `APT::Architecture=${arch}`,
    `APT::Architectures=${arch}`,
    `APT::Sandbox::User=${userInfo().username}`,
    'Acquire::Languages=none',
    'Acquire::Retries=3',
  ];
  const options = ['-qq', ...settings.flatMap((setting) => ['-o', setting])];
  await run('apt-get', [...options, 'update']);
  return async (packages, root) => {
    const folder = join(apt, packages.join());
    await mkdir(folder);
    await run('apt-get', [...options, 'download', ...packages], { cwd: folder });
    const versions: string[] = [];
    for (const file of await readdir(folder)) {
      await run('dpkg-deb', ['-x', join(folder, file), root]);
      versions.push(await run('dpkg-deb', ['-W', join(folder, file)]));
    }
    return versions.map((line) => line.replace('\t', ' '));
  };
}

/** A page with the texts that it names, which every Debian has once. */
async function addLicense(page: string, to: string): Promise<void> {
  await copyFile(page, to);
  const texts = (await readFile(page, 'utf8')).matchAll(/\/usr\/share\/common-licenses\/([A-Z]+-[\d.]*\d)/g);
  for (const [text, name = ''] of texts) await copyFile(text, join(dirname(to), name));
}

/** The package that has the licence of one: several of one source share a page. */
async function pageOf(root: string, name: string): Promise<string> {
  const page = join(root, 'usr/share/doc', name);
  return basename(await readlink(page).catch(() => name));
}

async function copyFirst(folders: readonly string[], root: string, file: string, to: string): Promise<void> {
  const failed: unknown[] = [];
  for (const folder of folders) {
    try {
      return await copyFile(join(root, folder, file), join(to, file));
    } catch (error) {
      failed.push(error);
    }
  }
  throw new AggregateError(failed, `${file} is in none of the packages`);
}
