import { SignedTokens } from '../auth/signed-tokens.ts';
import type { Config } from '../config/config.ts';
import type { Layout } from '../store/layout.ts';
import { Logins } from '../users/logins.ts';
import { Users } from '../users/users.ts';
import { derive } from './rooms.ts';

/** The users of our own names, where there are any. */
export interface OpenUsers {
  readonly users: Users;
  readonly logins: Logins;
}

/** Throws a readable error when the file of users cannot be used. `now`: epoch milliseconds. */
export async function openUsers(
  { users: { file } }: Config,
  layout: Layout,
  now: () => number,
): Promise<OpenUsers | undefined> {
  if (file === undefined) return undefined;
  const users = await Users.open(file, now);
  return { users, logins: new Logins(users, new SignedTokens(derive(layout, 'user-tokens'), 'layover-user+jwt', now)) };
}
