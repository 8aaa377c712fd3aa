/** An authentication challenge (RFC 9110 §11.6.1): scheme in lower case, parameter names in lower case. */
export interface Challenge {
  readonly scheme: string;
  readonly params: ReadonlyMap<string, string>;
}

const SCHEME = /^([!#$%&'*+.^_`|~\w-]+)(?:\s+|$)/;
const PARAM = /^([!#$%&'*+.^_`|~\w-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))\s*(?:,\s*|$)/;

/** Reads the challenges of WWW-Authenticate lines in order; what follows malformed text on a line is dropped. */
export function parseChallenges(lines: readonly string[]): Challenge[] {
  const challenges: Challenge[] = [];
  for (const line of lines) {
    let rest = line.trim();
    while (rest !== '') {
      const scheme = SCHEME.exec(rest);
      if (scheme === null) break;
      rest = rest.slice(scheme[0].length);
      const params = new Map<string, string>();
      for (let param = PARAM.exec(rest); param !== null; param = PARAM.exec(rest)) {
        const [all, name = '', quoted, token] = param;
        params.set(name.toLowerCase(), quoted === undefined ? (token ?? '') : quoted.replace(/\\(.)/g, '$1'));
        rest = rest.slice(all.length);
      }
      challenges.push({ scheme: (scheme[1] ?? '').toLowerCase(), params });
      rest = rest.replace(/^[\s,]+/, '');
    }
  }
  return challenges;
}

const SCHEME_NAMES = new Map([
  ['bearer', 'Bearer'],
  ['basic', 'Basic'],
]);

/** One WWW-Authenticate line with every value a quoted string, the only form all clients parse. */
export function formatChallenge(challenge: Challenge): string {
  const name = SCHEME_NAMES.get(challenge.scheme) ?? challenge.scheme;
  const params = [...challenge.params].map(([key, value]) => `${key}="${value.replace(/(["\\])/g, '\\$1')}"`);
  return params.length === 0 ? name : `${name} ${params.join(',')}`;
}
