/** How many more requests a registry will take, as it says itself. */
export interface Budget {
  readonly remaining: number;
  /** Milliseconds since 1970; absent where it does not say when it starts anew. */
  readonly reset?: number;
}

const NAMES = ['ratelimit', 'x-ratelimit'];
/** No span of seconds is as long as this; GitHub and others send a point in time instead. */
const EPOCH = 1_000_000_000;

/**
 * What `RateLimit-Remaining` and `-Reset` (draft-ietf-httpapi-ratelimit-headers, versions before 07) say, with or
 * without `X-`, at the time `now`. Docker Hub appends the window: `76;w=21600`.
 */
export function parseBudget(headers: Readonly<Record<string, string>>, now: number): Budget | undefined {
  for (const name of NAMES) {
    const remaining = leadingNumber(headers[`${name}-remaining`]);
    if (remaining === undefined) continue;
    const seconds = leadingNumber(headers[`${name}-reset`]);
    if (seconds === undefined) return { remaining };
    return { remaining, reset: seconds * 1000 + (seconds < EPOCH ? now : 0) };
  }
  return undefined;
}

function leadingNumber(text = ''): number | undefined {
  const digits = /^\s*(\d{1,12})\s*(?:[;,]|$)/.exec(text)?.[1];
  return digits === undefined ? undefined : Number(digits);
}
