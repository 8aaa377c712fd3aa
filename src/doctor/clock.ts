import { type Finding, ok, problem, warning } from './finding.ts';

/** Milliseconds by which the clock may be wrong without anybody noticing, and before tokens and certificates fail. */
const UNNOTICED = 30_000;
const HARMLESS = 120_000;

export interface ClockFacts {
  /** Milliseconds since 1970. */
  readonly now: number;
  /** By how many milliseconds this clock is ahead of others, by whose. */
  readonly ahead: readonly { readonly of: string; readonly milliseconds: number }[];
  readonly roots: readonly { readonly notBefore: number; readonly notAfter: number }[];
}

const SET = 'sudo timedatectl set-ntp true (or: sudo chronyc makestep)';
const WHY = 'tokens and certificates are valid for a span of time, and are refused outside it';

/** Whether this machine's clock is right, by what others say. */
export function judgeClock({ now, ahead, roots }: ClockFacts): readonly Finding[] {
  const future = roots.some(({ notBefore }) => notBefore > now);
  const begin = new Date(Math.max(...roots.map(({ notBefore }) => notBefore)));
  return [
    ...(future
      ? [problem(`the root CA begins on ${dayOf(begin)}, and it is ${dayOf(new Date(now))} here`, WHY, SET)]
      : []),
    ...judgeSkew(ahead),
  ];
}

/** One that is wrong by itself says nothing of ours: most have to agree. */
function judgeSkew(ahead: ClockFacts['ahead']): readonly Finding[] {
  const sorted = ahead.toSorted((a, b) => a.milliseconds - b.milliseconds);
  const middle = sorted[Math.floor(sorted.length / 2)];
  if (middle === undefined) return [ok('nobody told the time: the clock was not compared')];
  const skew = Math.abs(middle.milliseconds);
  const said = `the clock is ${Math.round(skew / 1_000)} s ${middle.milliseconds > 0 ? 'ahead' : 'behind'} (by ${middle.of})`;
  if (skew > HARMLESS) return [problem(said, WHY, SET)];
  return [skew > UNNOTICED ? warning(said, WHY, SET) : ok(`the clock is right (by ${middle.of})`)];
}

function dayOf(date: Date): string {
  return date.toISOString().slice(0, 10);
}
