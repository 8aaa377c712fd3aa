import { access, glob, open } from 'node:fs/promises';
import { join } from 'node:path';
import { IMAGE } from './build.ts';
import { expect } from './expect.ts';
import type { Storage } from './storage.ts';

interface Inspected {
  readonly Architecture: string;
  readonly Config: {
    readonly User: string;
    readonly StopSignal: string;
    readonly Entrypoint: readonly string[];
    readonly Cmd: readonly string[];
    readonly Volumes: Readonly<Record<string, object>>;
    readonly ExposedPorts: Readonly<Record<string, object>>;
    readonly Labels: Readonly<Record<string, string>>;
  };
  readonly HealthCheck?: { readonly Test: readonly string[] };
  readonly Healthcheck?: { readonly Test: readonly string[] };
}

/** What the image says of itself. */
export async function inspected(storage: Storage): Promise<void> {
  const [image] = JSON.parse(await storage.podman(['image', 'inspect', IMAGE])) as Inspected[];
  if (image === undefined) throw new Error('there is no image');
  const { Config } = image;
  expect('user', Config.User, '65532:65532');
  expect('signal', Config.StopSignal, 'SIGTERM');
  expect('command', [...Config.Entrypoint, ...Config.Cmd].join(' '), 'node /opt/layover/bin/layover.js start');
  const written = ['/layover/certs', '/layover/data', '/layover/logs'];
  expect('volumes', Object.keys(Config.Volumes).sort().join(), written.join());
  expect('ports', Object.keys(Config.ExposedPorts).sort().join(), '443/tcp,5000/tcp,9464/tcp');
  expect('licence', Config.Labels['org.opencontainers.image.licenses'], 'Apache-2.0');
  expect('health check', (image.Healthcheck ?? image.HealthCheck)?.Test[0], 'CMD');
}

/** Production packages and our own sources: nothing of the development, of this machine, or for one kind of processor. */
export async function lean(storage: Storage): Promise<void> {
  const root = await storage.podman(['image', 'mount', IMAGE]);
  try {
    const program = join(root, 'opt/layover');
    for (const path of ['src/cli/main.ts', 'bin/layover.js', 'node_modules/undici/package.json', 'security-floor.json'])
      expect(path, await isThere(join(program, path)), true);
    const unwanted = ['node', 'typescript', 'ava', '@biomejs'].map((name) => join(program, 'node_modules', name));
    for (const path of [...unwanted, join(program, 'test'), join(root, 'root/.npmrc')])
      expect(path, await isThere(path), false);
    for await (const entry of glob('**/*', { cwd: program, withFileTypes: true })) {
      if (!entry.isFile()) continue;
      const path = join(entry.parentPath, entry.name);
      expect(`machine code in ${path}`, await isMachineCode(path), false);
    }
  } finally {
    await storage.podman(['image', 'unmount', IMAGE]);
  }
}

function isThere(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

async function isMachineCode(path: string): Promise<boolean> {
  await using file = await open(path);
  const { buffer } = await file.read(Buffer.alloc(4), 0, 4, 0);
  return buffer.toString('latin1') === '\x7fELF';
}
