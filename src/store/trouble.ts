import { publish } from '../events.ts';
import { NoSpace } from './space.ts';

/** The system's codes for a disk that is full, over its quota, read-only or broken. */
const CODES = ['ENOSPC', 'EDQUOT', 'EROFS', 'EIO'] as const;

/** What is wrong with the disk as a whole, as far as the error or one of its causes says so. */
export function troubleOf(error: unknown): (typeof CODES)[number] | undefined {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    const { code } = cause as NodeJS.ErrnoException;
    const found = CODES.find((known) => known === code);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** Tells the operator that something could not be kept, unless it is what the disk has a line of its own for. */
export function tellFailed(
  message: string,
  error: unknown,
  options: { readonly level?: 'warn' | 'error'; readonly fields?: Readonly<Record<string, string>> } = {},
): void {
  const { level = 'error', fields = {} } = options;
  if (error instanceof NoSpace || troubleOf(error) !== undefined) return;
  publish('notice', { level, message, error, fields });
}
