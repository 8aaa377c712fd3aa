import { createHash } from 'node:crypto';
import { copyFile, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Architecture, Places } from './architecture.ts';
import { run } from './run.ts';

/** The Node of every archive, as npm has its binaries. */
export const NODE = {
  version: '26.10.0',
  integrity: {
    x64: 'sha512-OmAztarr1gK4PD+sNyoku4N5Q40d8eqMuLjNa/zRvxF33aCsVKVIQLs4V5HYPWSWWlMiTdkmbZE/6Phigma0hw==',
    arm64: 'sha512-idArV/cmqW9M9ODyGlbOIiyxFourDh1mJB0SdKCdMbSZjjef9CLEN3o1/eE4yf+B0+5BD+F74MpTTHiB3XXTBQ==',
  },
} as const;

/** `e_machine` of an ELF header. */
const MACHINE: Readonly<Record<Architecture, number>> = { x64: 62, arm64: 183 };

/** Puts Node there, or the binary of another one that was brought. Resolves to what it is. */
export async function addNode({ work, lib, licenses }: Places, arch: Architecture, brought?: string): Promise<string> {
  const name = `node-linux-${arch}`;
  const options = ['--loglevel=error', '--prefer-offline', '--pack-destination', work];
  await run('npm', ['pack', `${name}@${NODE.version}`, ...options]);
  const tarball = await readFile(join(work, `${name}-${NODE.version}.tgz`));
  const integrity = `sha512-${createHash('sha512').update(tarball).digest('base64')}`;
  if (integrity !== NODE.integrity[arch])
    throw new Error(`${name}@${NODE.version} is not the one that is pinned: its integrity is ${integrity}`);
  await run('tar', ['-xzf', `${name}-${NODE.version}.tgz`, 'package/bin/node', 'package/LICENSE'], { cwd: work });
  await copyFile(join(work, 'package', 'LICENSE'), join(licenses, 'node'));
  const file = brought ?? join(work, 'package', 'bin', 'node');
  const binary = await readFile(file);
  if (binary.toString('latin1', 1, 4) !== 'ELF' || binary.readUInt16LE(18) !== MACHINE[arch])
    throw new Error(`${file} is no program for Linux on ${arch}`);
  await writeFile(join(lib, 'node'), binary, { mode: 0o755 });
  return `node ${brought === undefined ? NODE.version : createHash('sha256').update(binary).digest('hex')}`;
}
