import type { Profile, ProfileName } from './profile.ts';

const TOKEN_FOR_LESS = { post: 'accepted', excess: 'token-for-less' } as const;
const SIGNED = { status: 307, to: 'cdn', signed: true, head: 'redirected' } as const;

/** docker.io: the token server is another host, content comes from a CDN, manifest GETs are counted but HEADs are not. */
const hub: Profile = {
  roles: ['registry', 'token', 'cdn'],
  auth: 'bearer',
  publicNeedsToken: true,
  realm: {
    ...TOKEN_FOR_LESS,
    role: 'token',
    path: '/token',
    service: 'registry.docker.io',
    body: (token, life, now) => ({ token, access_token: token, expires_in: life, issued_at: now.toISOString() }),
  },
  refusal: { status: 401, code: 'UNAUTHORIZED', error: 'insufficient_scope' },
  blobs: SIGNED,
  accept: 'ignored',
  countsPulls: true,
  referrers: 'api',
  catalog: 'refused',
  paging: 'relative',
  writable: true,
};

/** ghcr.io: tokens without a life, refused outright for what is private or absent; signed URLs answer GET alone. */
const ghcr: Profile = {
  roles: ['registry', 'cdn'],
  auth: 'bearer',
  publicNeedsToken: true,
  realm: {
    role: 'self',
    path: '/token',
    service: 'ghcr.io',
    pingScope: 'repository:user/image:pull',
    post: 405,
    excess: 'denied',
    body: (token) => ({ token }),
  },
  refusal: { status: 403, code: 'DENIED' },
  blobs: { ...SIGNED, signedForGetOnly: true },
  accept: 'index-must-be-listed',
  countsPulls: false,
  referrers: 'absent',
  catalog: 'absent',
  paging: 'relative',
  writable: true,
};

/** quay.io: a redirect that looks cacheable for a year but is signed for minutes, and manifests rewritten for old clients. */
const quay: Profile = {
  roles: ['registry', 'cdn'],
  auth: 'bearer',
  publicNeedsToken: false,
  realm: {
    role: 'self',
    path: '/v2/auth',
    service: 'quay.io',
    alwaysChallenges: true,
    post: 405,
    excess: 'token-for-less',
    body: (token) => ({ token }),
  },
  refusal: { status: 401, code: 'UNAUTHORIZED' },
  blobs: {
    ...SIGNED,
    status: 302,
    head: 'direct',
    headers: { 'cache-control': 'max-age=31536000' },
    html: true,
  },
  accept: 'rewrites',
  countsPulls: false,
  referrers: 'api',
  catalog: 'listed',
  paging: 'absolute',
  writable: true,
};

/** lscr.io: a name in front of ghcr.io; some clients are redirected there, for others it fetches and passes on. */
const lscr: Profile = {
  ...ghcr,
  roles: ['registry', 'origin', 'cdn'],
  elsewhere: {
    kinds: ['ping', 'manifest', 'blob', 'tags', 'referrers'],
    prefix: '',
    agents: /^(?:docker|containerd)\//,
  },
  writable: false,
};

/** Another registry that is open to everybody: where registry.k8s.io keeps its manifests. */
const open: Profile = {
  roles: ['registry'],
  auth: 'open',
  publicNeedsToken: false,
  refusal: { status: 404, code: 'NAME_UNKNOWN' },
  accept: 'ignored',
  countsPulls: false,
  referrers: 'api',
  catalog: 'absent',
  paging: 'relative',
  writable: false,
};

/** registry.k8s.io: asks for nothing and holds nothing; every answer but the ping is a redirect, unsigned. */
const k8s: Profile = {
  ...open,
  roles: ['registry', 'origin', 'cdn'],
  elsewhere: { kinds: ['manifest', 'tags', 'referrers'], prefix: 'k8s-artifacts-prod/images/' },
  blobs: { ...SIGNED, signed: false },
};

/** gcr.io and *.pkg.dev: a challenge without service, tokens by GET alone, blobs behind a relative redirect. */
const gar: Profile = {
  roles: ['registry'],
  auth: 'bearer',
  publicNeedsToken: false,
  realm: {
    role: 'self',
    path: '/v2/token',
    post: 404,
    excess: 'token-for-less',
    body: (token, life, now) => ({ token, expires_in: life, issued_at: now.toISOString() }),
  },
  refusal: { status: 403, code: 'DENIED' },
  blobs: { ...SIGNED, status: 302, to: 'self' },
  accept: 'ignored',
  countsPulls: false,
  referrers: 'login-page',
  catalog: 'absent',
  paging: 'relative',
  writable: true,
};

/** mcr.microsoft.com: open, with a data host of its own and lists that never name a next page. */
const mcr: Profile = {
  ...open,
  roles: ['registry', 'cdn'],
  blobs: { ...SIGNED, signed: false },
  catalog: 'listed',
  paging: 'none',
};

/** A plain registry behind an htpasswd file: user and password on every request, content inline. */
const basic: Profile = {
  ...open,
  auth: 'basic',
  publicNeedsToken: true,
  refusal: { status: 403, code: 'DENIED' },
  catalog: 'listed',
  writable: true,
};

export const PROFILES: Readonly<Record<ProfileName, Profile>> = { hub, ghcr, quay, lscr, k8s, gar, mcr, basic };

/** What answers on the second registry of a profile that redirects to one. */
export const ORIGINS: Readonly<Partial<Record<ProfileName, Profile>>> = { lscr: ghcr, k8s: open };
