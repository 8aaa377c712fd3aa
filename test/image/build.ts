import { chmod, copyFile, cp, mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { run } from '../clients/process.ts';
import { bootstrap } from '../clients/releases.ts';
import type { Storage } from './storage.ts';

const ROOT = join(import.meta.dirname, '../..');
const NPM_SETTINGS = ['registry', 'proxy', 'https-proxy', 'noproxy'];
/** Where the roots that npm is to trust are while the image is built. */
const ROOTS = '/run/npm-roots.pem';

export const IMAGE = 'localhost/layover';

/** What stands in for the official image of Node: Debian, the Node that the tests run on, and the npm of the machine. */
export async function makeBase(storage: Storage, folder: string): Promise<string> {
  const base = 'localhost/node-slim';
  const debian = await bootstrap('bookworm', ['ca-certificates', 'libstdc++6', 'libatomic1']);
  const local = join(folder, 'node/usr/local');
  await mkdir(join(local, 'bin'), { recursive: true });
  await copyFile(process.execPath, join(local, 'bin/node'));
  await chmod(join(local, 'bin/node'), 0o755);
  await cp(dirname(dirname(npmProgram())), join(local, 'lib/node_modules/npm'), { recursive: true });
  await symlink('../lib/node_modules/npm/bin/npm-cli.js', join(local, 'bin/npm'));
  const files = ['bin/node', 'bin/npm', 'lib/node_modules'].map((path) => `usr/local/${path}`);
  await storage.import(debian, join(folder, 'node'), files, base);
  return base;
}

/** Builds the image by the project's Dockerfile, with the settings of this machine's npm as a secret. */
export async function build(storage: Storage, base: string, folder: string): Promise<string> {
  const secret = join(folder, 'npmrc');
  const setting = (name: string) => npmSetting(name);
  const own = await readFile(join(homedir(), '.npmrc'), 'utf8').catch(() => '');
  const told = await Promise.all(NPM_SETTINGS.map(async (name) => [name, await setting(name)] as const));
  const roots = await setting('cafile');
  const lines = [...told, ['cafile', roots && ROOTS] as const].filter(([, value]) => value !== undefined);
  await writeFile(secret, `${own}\n${lines.map(([name, value]) => `${name}=${value}\n`).join('')}`, { mode: 0o600 });
  const volumes = roots === undefined ? [] : ['--volume', `${roots}:${ROOTS}:ro`];
  const options = ['--format', 'docker', '--pull-never', '--build-arg', `BASE=${base}`, '--tag', IMAGE];
  const args = ['bud', ...options, '--secret', `id=npmrc,src=${secret}`, ...volumes, ROOT];
  return storage.buildah(args, { timeout: 300_000 });
}

async function npmSetting(name: string): Promise<string | undefined> {
  const env = Object.fromEntries(Object.entries(process.env).map(([key, value]) => [key, value ?? '']));
  const value = await run([process.execPath, npmProgram(), 'config', 'get', name], { env });
  const text = value.toString().trim();
  return ['', 'null', 'undefined'].includes(text) ? undefined : text;
}

/** npm says where it is to what it runs. */
function npmProgram(): string {
  const program = process.env.npm_execpath;
  if (program === undefined) throw new Error('start this by npm: npm run test:image');
  return program;
}
