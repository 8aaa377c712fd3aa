/** When a tag's digest may be used without asking (milliseconds). */
export interface FreshnessPolicy {
  /** How long an answer counts as fresh; 0: every use asks. */
  readonly ttl: number;
  /** How old an answer may be to be used while the upstream cannot be asked. */
  readonly staleOnError: number;
}

export type Freshness = 'fresh' | 'stale' | 'unusable';

/** Requests within the same second share one question to the upstream. */
const SHARED = 1000;

/**
 * What a tag's last answer is worth at `now` (RFC 9111 §4.2 in spirit): *fresh*, use it; *stale*, ask and use it only
 * when the upstream cannot answer (RFC 5861 §4); *unusable*, ask and fail with the upstream. A clock that went back
 * makes an answer stale, never fresh.
 */
export function decide(checkedAt: number | undefined, now: number, policy: FreshnessPolicy): Freshness {
  if (checkedAt === undefined) return 'unusable';
  const age = now - checkedAt;
  if (age >= 0 && age < Math.max(policy.ttl, SHARED)) return 'fresh';
  return Math.max(age, 0) < policy.staleOnError ? 'stale' : 'unusable';
}
