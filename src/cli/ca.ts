import { randomUUID, X509Certificate } from 'node:crypto';
import { existsSync } from 'node:fs';
import { rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Config } from '../config/config.ts';
import { rootOptions } from '../config/root-options.ts';
import { rootCertificates } from '../tls/identity.ts';
import { activateNextRoot, makeNextRoot, openRoot, type Root, readRoot } from '../tls/root.ts';
import { type Installable, installCommands } from './install.ts';

export interface CaOptions {
  readonly json?: boolean | undefined;
  /** Where to write instead of to standard output. */
  readonly out?: string | undefined;
  readonly der?: boolean | undefined;
  /** The next root alone. */
  readonly next?: boolean | undefined;
  readonly activate?: boolean | undefined;
  readonly 'dry-run'?: boolean | undefined;
}

/** The root that serves, made when there is none, and the next one when it is there. */
interface Roots {
  readonly root: Root;
  readonly next?: Root;
}

/** The roots that clients are to trust, and every name that they can vouch for. */
export async function showRoots(config: Config, { json }: CaOptions): Promise<string> {
  const roots = await openRoots(config);
  const shown = filesOf(config, roots).map(({ file, root: { fingerprint, notAfter, permitted } }) => ({
    file,
    fingerprint,
    notAfter,
    permitted,
  }));
  if (json === true) {
    const [serving, next] = shown;
    return `${JSON.stringify({ ...serving, ...(next && { next }) })}\n`;
  }
  const texts = shown.map(({ file, fingerprint, notAfter, permitted }) => {
    const names = [...permitted.dns, ...permitted.ips].map((name) => `  ${name}\n`).join('');
    return `file         ${file}\nSHA-256      ${fingerprint}\nvalid until  ${notAfter.toISOString()}\nvouches for these names, names below them, and nothing else:\n${names}`;
  });
  return texts.join('\nthe next root, which does not serve yet:\n');
}

/** The certificates that clients are to trust: PEM of every root, or DER of a single one; nothing when they go to a file. */
export async function exportRoots(config: Config, { out, der, next: isNext }: CaOptions): Promise<string | Uint8Array> {
  const roots = await openRoots(config);
  const chosen = isNext === true ? { root: nextOf(roots) } : der === true ? { root: roots.root } : roots;
  const bytes = der === true ? new X509Certificate(chosen.root.certificatePem).raw : rootCertificates(chosen);
  if (out === undefined) return bytes;
  const temporary = `${out}.${randomUUID()}`;
  await writeFile(temporary, bytes, { flag: 'wx' });
  await rename(temporary, out);
  return '';
}

/** One line per root: SHA-256 of the certificate and its file. */
export async function showFingerprints(config: Config): Promise<string> {
  const lines = filesOf(config, await openRoots(config)).map(({ file, root }) => `${root.fingerprint}  ${file}\n`);
  return lines.join('');
}

/** Makes the next root, or lets it serve. */
export async function renewRoot(config: Config, { activate }: CaOptions): Promise<string> {
  const { dir } = config.certs;
  if (activate !== true) {
    const { fingerprint } = await makeNextRoot(rootOptions(config));
    return `the next root is ready, the one before it goes on serving

  file     ${join(dir, 'next.crt')}
  SHA-256  ${fingerprint}

next: let all clients trust both (layover ca export), then
  layover ca renew --activate
`;
  }
  if (!(await activateNextRoot(dir))) throw new Error('there is no next root; make it first: layover ca renew');
  const root = await openRoot(rootOptions(config));
  return `this root serves now; running gateways take it within seconds

  file     ${join(dir, 'ca.crt')}
  SHA-256  ${root.fingerprint}
  before   ${join(dir, 'previous.crt')}, previous.key
`;
}

/** The commands that make this machine trust the roots. */
export async function installRoots(config: Config, options: CaOptions): Promise<string> {
  if (options['dry-run'] !== true)
    throw new Error('only "layover ca install --dry-run" is there: it prints what to run');
  const roots = filesOf(config, await openRoots(config)).map(
    ({ file, root }): Installable => ({ file, fingerprint: root.fingerprint }),
  );
  const commands = installCommands({ platform: process.platform, has: existsSync }, roots);
  if (commands.length === 0) throw new Error('this system keeps its roots in a place that is not known here');
  return `${commands.join('\n')}\n`;
}

async function openRoots(config: Config): Promise<Roots> {
  const [root, next] = [await openRoot(rootOptions(config)), await readRoot(config.certs.dir, 'next')];
  return { root, ...(next && { next }) };
}

function filesOf({ certs }: Config, { root, next }: Roots): readonly { readonly file: string; readonly root: Root }[] {
  return [
    { file: join(certs.dir, 'ca.crt'), root },
    ...(next ? [{ file: join(certs.dir, 'next.crt'), root: next }] : []),
  ];
}

function nextOf({ next }: Roots): Root {
  if (next === undefined) throw new Error('there is no next root; make it first: layover ca renew');
  return next;
}
