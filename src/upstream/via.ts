import { randomBytes } from 'node:crypto';

const PSEUDONYM = `layover-${randomBytes(6).toString('hex')}`;

/** The Via field of everything this process sends upstream (RFC 9110 §7.6.3). */
export const VIA = `1.1 ${PSEUDONYM}`;

/** Whether a request with this Via field has passed through this process before: it goes in a circle. */
export function isOwnVia(value: string | undefined): boolean {
  return value?.split(',').some((hop) => hop.trim().split(/\s+/)[1] === PSEUDONYM) ?? false;
}
