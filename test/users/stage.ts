import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { hashSync } from 'bcryptjs';
import { TestGateway } from '../support/gateway.ts';
import type { FakeUpstream } from '../support/upstream/upstream.ts';

/** An htpasswd file in a directory of its own; the passwords are quick to compute and quick to guess. */
export async function usersFile(passwords: Readonly<Record<string, string>>): Promise<string> {
  const file = join(await mkdtemp(join(tmpdir(), 'layover-users-')), 'users.htpasswd');
  await writeFile(file, linesOf(passwords), { mode: 0o600 });
  return file;
}

export function linesOf(passwords: Readonly<Record<string, string>>): string {
  return Object.entries(passwords)
    .map(([name, password]) => `${name}:${hashSync(password, 4)}\n`)
    .join('');
}

export interface Policy {
  readonly push?: 'none' | 'users' | 'anyone';
  readonly read?: 'anyone' | 'users';
  readonly mirror?: 'anyone' | 'users';
  /** Addresses of proxies in front. */
  readonly proxies?: readonly string[];
  readonly now?: () => number;
}

/** A gateway with users that hosts `team/**`. */
export function startWithUsers(
  file: string,
  upstreams: readonly FakeUpstream[],
  { push = 'users', read = 'anyone', mirror = 'anyone', proxies = [], now = Date.now }: Policy = {},
): Promise<TestGateway> {
  const config = {
    listen: { https: '127.0.0.1:0', http: '127.0.0.1:0', admin: '127.0.0.1:0', proxies },
    hosted: { repositories: ['team/**'], push, read },
    mirror: { read: mirror },
    users: { file },
  };
  return TestGateway.start({ upstreams, config, now });
}

export function basic(name: string, password: string): { readonly authorization: string } {
  return { authorization: `Basic ${Buffer.from(`${name}:${password}`).toString('base64')}` };
}
