import { patience } from '../../src/doctor/bounded.ts';
import type { Finding } from '../../src/doctor/finding.ts';

// Machines that run tests may be busy with others.
patience.question = 60_000;

/** A line of `layover doctor --json`. */
export type Told = Finding & { readonly check: string };

/** Findings as `status: message`, so that a test names what it is about. */
export function said(findings: readonly Finding[]): readonly string[] {
  return findings.map(({ status, message }) => `${status}: ${message}`);
}

/** What is to be typed, in order. */
export function fixes(findings: readonly Finding[]): readonly string[] {
  return findings.flatMap((finding) => (finding.status === 'ok' ? [] : [finding.fix]));
}

/** An address of this machine where nobody listens: no port that the system would choose, on an address of its own. */
export const NOBODY = '127.83.1.9:21987';
