import { createHash } from 'node:crypto';
import { access, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from './process.ts';
import type { Generation } from './table.ts';

const cache = '/var/cache/layover-test';
const packages = [
  'ca-certificates',
  'podman',
  'skopeo',
  'buildah',
  'docker.io',
  'docker-cli',
  'docker-buildx',
  'containerd',
  'crane',
  'oras',
  'cosign',
];
/** What the machine itself must have: the clients of its own release, a registry, and the tools of this test. */
const programs = [
  'podman',
  'skopeo',
  'buildah',
  'dockerd',
  'containerd',
  'ctr',
  'docker-registry',
  'debootstrap',
  'setpriv',
  'unshare',
  'ip',
];

/** Throws when a program is missing on the machine; none may be. */
export async function requirePrograms(): Promise<void> {
  const found = await Promise.all(
    programs.map((program) =>
      Promise.any(['/usr/bin', '/usr/sbin'].map((folder) => access(join(folder, program)))).then(
        () => true,
        () => false,
      ),
    ),
  );
  const lacking = programs.filter((_, index) => !found[index]);
  if (lacking.length > 0) throw new Error(`missing on this machine: ${lacking.join(', ')}`);
}

/** The folder that holds a Debian release: the machine's own, or unstable. */
export async function prepareRelease(generation: Generation): Promise<string> {
  return generation === 'sid' ? bootstrap(generation, packages) : '/';
}

/** The root file system of a Debian release with packages, made by debootstrap once and kept. Must not be written to. */
export async function bootstrap(suite: string, include: readonly string[]): Promise<string> {
  const hash = createHash('sha256').update(include.join(' ')).digest('hex').slice(0, 12);
  const folder = join(cache, `${suite}-${hash}`);
  // the marker is written last: a folder without it was cut off in the making
  const marker = join(folder, 'layover-test-complete');
  const complete = await access(marker).then(
    () => true,
    () => false,
  );
  if (complete) return folder;
  const draft = `${folder}.${process.pid}`;
  await mkdir(cache, { recursive: true });
  try {
    const argv = ['debootstrap', '--variant=minbase', `--include=${include.join(',')}`, suite, draft, await mirror()];
    await run(argv, { timeout: 15 * 60_000 });
    await rm(join(draft, 'var/cache/apt/archives'), { recursive: true, force: true });
    await rm(folder, { recursive: true, force: true });
    await rename(draft, folder);
    await writeFile(marker, `${new Date().toISOString()}\n`);
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
  return folder;
}

/** The mirror that the machine's own package manager uses for its release. */
async function mirror(): Promise<string> {
  const [, codename = ''] = /^VERSION_CODENAME=(\w+)/m.exec(await readFile('/etc/os-release', 'utf8')) ?? [];
  const folder = '/etc/apt/sources.list.d';
  const names = await readdir(folder).catch(() => []);
  for (const file of ['/etc/apt/sources.list', ...names.map((name) => join(folder, name))]) {
    const text = await readFile(file, 'utf8').catch(() => '');
    const found = sources(text).find(({ suites }) => suites.includes(codename));
    if (found !== undefined) return found.url;
  }
  throw new Error(`no mirror of ${codename} in /etc/apt/sources.list*`);
}

/** The entries of a file in one of the two formats of sources.list(5). */
function sources(text: string): { url: string; suites: string[] }[] {
  const lines = text.matchAll(/^deb\s+(?:\[[^\]]*\]\s+)?(\S+)\s+(\S+)/gm);
  const entries = [...lines].map(([, url = '', suite = '']) => ({ url, suites: [suite] }));
  for (const stanza of text.split(/\n\s*\n/)) {
    const [, url] = /^URIs:\s*(\S+)/m.exec(stanza) ?? [];
    const [, suites = ''] = /^Suites:\s*(.*)/m.exec(stanza) ?? [];
    if (url !== undefined) entries.push({ url, suites: suites.trim().split(/\s+/) });
  }
  return entries;
}
