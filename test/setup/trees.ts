import {
  chmodSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { ExecutionContext } from 'ava';

/** What a machine has before it is set up, by path; a string is a file of mode 644. */
export type Tree = Readonly<Record<string, string | { readonly content: Buffer | string; readonly mode: number }>>;

/** What decides that a directory is Debian, and what most machines have. */
export const usual: Tree = {
  '/etc/hosts': '127.0.0.1 localhost\n',
  '/usr/local/share/ca-certificates/README': '',
  '/usr/sbin/update-ca-certificates': { content: '#!/bin/sh\n', mode: 0o755 },
  '/var/lib/dpkg/status': '',
};

const LONG_AGO = 1_600_000_000.123456;

/** A directory with these files, removed at the end of the test. */
export function grow(t: ExecutionContext, tree: Tree): string {
  const root = mkdtempSync(join(tmpdir(), 'layover-setup-'));
  t.teardown(() => rmSync(root, { recursive: true, force: true }));
  for (const [path, file] of Object.entries(tree)) {
    const { content, mode } = typeof file === 'string' ? { content: file, mode: 0o644 } : file;
    mkdirSync(dirname(root + path), { recursive: true });
    writeFileSync(root + path, content);
    chmodSync(root + path, mode);
    utimesSync(root + path, LONG_AGO, LONG_AGO);
  }
  return root;
}

/** Every directory and file below a root: mode, time of the last change (of files, to the microsecond) and content. */
export function picture(root: string, path = ''): Readonly<Record<string, string>> {
  const found = readdirSync(root + path, { withFileTypes: true }).map((entry) => {
    const below = `${path}/${entry.name}`;
    const { mode, mtimeMs } = lstatSync(root + below);
    const permissions = (mode & 0o7777).toString(8);
    if (entry.isDirectory()) return { [`${below}/`]: permissions, ...picture(root, below) };
    return { [below]: `${permissions} ${mtimeMs.toFixed(2)} ${readFileSync(root + below).toString('latin1')}` };
  });
  return Object.assign({}, ...found) as Readonly<Record<string, string>>;
}

/** The same without times, and without what is not said to be equal: the journals. */
export function content(root: string): Readonly<Record<string, string>> {
  return Object.fromEntries(
    Object.entries(picture(root)).map(([path, text]) => [path, text.replace(/^(\d+) [\d.]+ /, '$1 ')]),
  );
}
