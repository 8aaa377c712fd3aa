import { createHash } from 'node:crypto';
import type { Change } from './plan.ts';

const CONTEXT = 2;

/** A change as `diff -u` shows it, by its first and last differing line. */
export function differenceOf({ path, from, to }: Change): string {
  const [before, after] = [linesOf(from), linesOf(to)];
  let start = 0;
  while (start < before.length && start < after.length && before[start] === after[start]) start++;
  let end = 0;
  const most = Math.min(before.length, after.length) - start;
  while (end < most && before[before.length - 1 - end] === after[after.length - 1 - end]) end++;
  const first = Math.max(0, start - CONTEXT);
  const lines = [
    `--- ${from === undefined ? '/dev/null' : path}`,
    `+++ ${to === undefined ? '/dev/null' : path}`,
    `@@ line ${first + 1} @@`,
    ...before.slice(first, start).map((line) => ` ${line}`),
    ...before.slice(start, before.length - end).map((line) => `-${line}`),
    ...after.slice(start, after.length - end).map((line) => `+${line}`),
    ...before
      .slice(before.length - end)
      .slice(0, CONTEXT)
      .map((line) => ` ${line}`),
  ];
  return `${utf8(lines.join('\n'))}\n`;
}

function linesOf(text: string | undefined): readonly string[] {
  if (text === undefined || text === '') return [];
  const folded = text.replace(
    CERTIFICATE,
    (_, body: string) => `(the certificate with SHA-256 ${fingerprintOf(body)})`,
  );
  return (folded.endsWith('\n') ? folded.slice(0, -1) : folded).split('\n');
}

const CERTIFICATE = /-----BEGIN CERTIFICATE-----([^-]*)-----END CERTIFICATE-----/g;

function fingerprintOf(base64: string): string {
  const digest = createHash('sha256').update(Buffer.from(base64, 'base64')).digest('hex').toUpperCase();
  return digest.replace(/..(?=.)/g, '$&:');
}

/** A text of one character a byte, as it is read by people. */
export function utf8(text: string): string {
  return Buffer.from(text, 'latin1').toString();
}
