import { createHash } from 'node:crypto';
import { access, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from './process.ts';
import type { Release } from './table.ts';

const cache = '/var/cache/layover-test';
const packages = ['ca-certificates', 'podman', 'skopeo', 'docker.io', 'docker-cli', 'containerd'];
/** What the machine itself must have: the clients of its own release, a registry, and the tools of this test. */
const programs = [
  'podman',
  'skopeo',
  'dockerd',
  'containerd',
  'ctr',
  'docker-registry',
  'debootstrap',
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

/** The folder that holds a Debian release: the machine's own, or unstable, made by debootstrap once and kept. */
export async function prepareRelease(release: Release): Promise<string> {
  if (release === 'bookworm') return '/';
  const hash = createHash('sha256').update(packages.join(' ')).digest('hex').slice(0, 12);
  const folder = join(cache, `${release}-${hash}`);
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
    const include = `--include=${packages.join(',')}`;
    const argv = ['debootstrap', '--variant=minbase', include, release, draft, await mirror()];
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

/** The mirror that the machine's own package manager uses. */
async function mirror(): Promise<string> {
  const folder = '/etc/apt/sources.list.d';
  const names = await readdir(folder).catch(() => []);
  const files = ['/etc/apt/sources.list', join(folder, 'debian.sources'), ...names.map((name) => join(folder, name))];
  for (const file of files) {
    const text = await readFile(file, 'utf8').catch(() => '');
    const [, url] = /^\s*(?:URIs:|deb(?:\s+\[[^\]]*\])?)\s+(https?:\/\/\S+\/debian)\/?(?:\s|$)/m.exec(text) ?? [];
    if (url !== undefined) return url;
  }
  throw new Error('no Debian mirror in /etc/apt/sources.list*');
}
