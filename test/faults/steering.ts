/** What a registry says to lead credentials astray. */
export interface Steering {
  readonly name: string;
  /** The lines of WWW-Authenticate; without them, the honest one. */
  readonly challenge?: (service: string) => readonly string[];
  /** What the honest token service answers instead of a token. */
  readonly token?: { readonly status: number; readonly location?: string; readonly body?: string };
  /** Where a blob is said to be. */
  readonly location?: string;
  /** Has to work: otherwise the harness is blind. */
  readonly isHonest?: boolean;
}

export const AUTH = 'auth.registry.example';
export const CDN = 'cdn.registry.example';
export const EVIL = 'evil.example';
export const INTERNAL = 'internal.example';

/** Realms that are not `https://auth.registry.example/token`. */
const REALMS: readonly string[] = [
  `https://${EVIL}/token`,
  `https://${AUTH}.${EVIL}/token`,
  `https://${EVIL}/${AUTH}/token`,
  `https://${AUTH}@${EVIL}/token`,
  `https://${AUTH}:443@${EVIL}/token`,
  `https://${AUTH}%2f@${EVIL}/token`,
  `https://${EVIL}#@${AUTH}/token`,
  `https://${EVIL}?@${AUTH}/token`,
  `https://${EVIL}\\@${AUTH}/token`,
  `https:\\\\${EVIL}\\token`,
  `https:/${EVIL}/token`,
  `https:${EVIL}/token`,
  `//${EVIL}/token`,
  `http://${AUTH}/token`,
  `HTTP://${AUTH}/token`,
  `https://${AUTH}:8443/token`,
  `https://${AUTH}:80/token`,
  `https://x:y@${AUTH}/token`,
  'https://9.9.9.3/token',
  'https://10.0.0.1/token',
  'https://127.0.0.1/token',
  'https://127.1/token',
  'https://0x7f.1/token',
  'https://2130706433/token',
  'https://0177.0.0.1/token',
  'https://[::1]/token',
  'https://[::ffff:10.0.0.1]/token',
  'https://[::ffff:a9fe:a9fe]/token',
  'http://169.254.169.254/latest/meta-data',
  'https://169.254.169.254/token',
  'https://localhost/token',
  `https://${INTERNAL}/token`,
  `https://auth\u3002registry\u3002example.${EVIL}/token`,
  'https://auth\u2024registry.example/token',
  `https://${AUTH}\u0000.${EVIL}/token`,
  '/token',
  'token',
  '',
  `ftp://${AUTH}/token`,
  'file:///etc/passwd',
  `javascript://${AUTH}/%0aalert(1)`,
  `data:,${AUTH}`,
  `https://${'a'.repeat(300)}.example/token`,
  `https://${AUTH}/../../token`,
  `https://${EVIL}:99999/token`,
];

const honest = (service: string): string => `realm="https://${AUTH}/token",service="${service}"`;
const evil = (service: string): string => `realm="https://${EVIL}/token",service="${service}"`;
const SCOPE = 'scope="repository:library/app:pull"';

const CHALLENGES: Readonly<Record<string, (service: string) => readonly string[]>> = {
  'two challenges, the evil one first': (s) => [`Bearer ${evil(s)},${SCOPE}, Bearer ${honest(s)},${SCOPE}`],
  'two challenges, the evil one last': (s) => [`Bearer ${honest(s)},${SCOPE}, Bearer ${evil(s)},${SCOPE}`],
  'two lines': (s) => [`Bearer ${evil(s)}`, `Bearer ${honest(s)}`],
  'the realm twice': (s) => [`Bearer ${honest(s)},realm="https://${EVIL}/token"`],
  'the realm twice, evil first': (s) => [`Bearer realm="https://${EVIL}/token",${honest(s)}`],
  'Negotiate first': (s) => [`Negotiate, Bearer ${evil(s)}`],
  'no quotes': (s) => [`Bearer realm=https://${EVIL}/token,service=${s}`],
  'a quote that does not end': () => [`Bearer realm="https://${EVIL}/token`],
  'an escaped quote': (s) => [`Bearer realm="https://${AUTH}/token\\",x=\\"",service="${s}",realm="https://${EVIL}/"`],
  'no realm': (s) => [`Bearer service="${s}"`],
  'no challenge': () => [],
  garbage: () => ['Bearer ,,,===,"'],
  'a very long one': (s) => [`Bearer ${honest(s)},x="${'y'.repeat(7000)}"`],
  'the scope of another repository': (s) => [`Bearer ${honest(s)},scope="repository:acme/secret:pull,push,delete"`],
  'a scope with more in it': (s) => [`Bearer ${honest(s)},scope="repository:library/app:pull&service=x&account=ada"`],
  'a service with more in it': () => [`Bearer realm="https://${AUTH}/token",service="x&scope=repository:a:*#"`],
};

const LOCATIONS: readonly string[] = [
  `https://${EVIL}/blob`,
  `http://${CDN}/blob`,
  `https://${CDN}@${EVIL}/blob`,
  `https://${CDN}.${EVIL}/blob`,
  `https://user:password@${CDN}/blob`,
  'https://10.0.0.1/blob',
  'https://127.0.0.1/blob',
  'https://[::1]/blob',
  'http://169.254.169.254/latest/meta-data',
  'https://0x7f.1/blob',
  `https://${INTERNAL}/blob`,
  `//${EVIL}/blob`,
  'file:///etc/passwd',
  `https://${CDN}/again`,
];

export const STEERINGS: readonly Steering[] = [
  { name: 'an honest challenge', isHonest: true },
  { name: 'an honest redirect', isHonest: true, location: `https://${CDN}/blob` },
  ...REALMS.map((realm) => ({
    name: `the realm ${realm.slice(0, 60)}`,
    challenge: (service: string) => [`Bearer realm="${realm}",service="${service}",${SCOPE}`],
  })),
  ...Object.entries(CHALLENGES).map(([name, challenge]) => ({ name, challenge })),
  ...LOCATIONS.map((location) => ({ name: `a blob at ${location}`, location })),
  ...[301, 302, 303, 307, 308].map((status) => ({
    name: `a token service that redirects by ${status}`,
    token: { status, location: `https://${EVIL}/token` },
  })),
  { name: 'a token service that redirects to http', token: { status: 307, location: `http://${AUTH}/token` } },
  { name: 'a token that is none', token: { status: 200, body: '{"token":{"x":1}}' } },
  { name: 'a token with a line end', token: { status: 200, body: '{"token":"a\\r\\nX-Evil: 1"}' } },
  { name: 'a token of a megabyte', token: { status: 200, body: JSON.stringify({ token: 'x'.repeat(1 << 20) }) } },
  { name: 'no JSON', token: { status: 200, body: '<html>' } },
];
