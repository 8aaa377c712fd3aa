import { hash } from 'bcryptjs';

/** Of bcrypt: a quarter of a second for each password. */
export const COST = 12;

/** What stands for a password in an htpasswd file. */
export function hashPassword(password: string): Promise<string> {
  return hash(password, COST);
}
