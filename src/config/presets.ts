import { parseHost, parsePeer } from './grammar.ts';

/**
 * The public registries that the root CA vouches for beside the configured ones. X.509 name constraints cover the
 * names below each as well (RFC 5280 §4.2.1.10), so only names that serve nothing but registries belong here.
 */
export const PUBLIC_REGISTRIES: readonly string[] = [
  'docker.io',
  'index.docker.io',
  'registry-1.docker.io',
  'auth.docker.io',
  'ghcr.io',
  'quay.io',
  'lscr.io',
  'registry.k8s.io',
  'gcr.io',
  'pkg.dev',
  'mcr.microsoft.com',
  'public.ecr.aws',
  'cgr.dev',
  'container-registry.oracle.com',
  'dhi.io',
  'docker.elastic.co',
  'icr.io',
  'nvcr.io',
  'registry.access.redhat.com',
  'registry.connect.redhat.com',
  'registry.fedoraproject.org',
  'registry.gitlab.com',
  'registry.opensuse.org',
  'registry.redhat.io',
  'registry.suse.com',
];

/** A host name that the published list covers, in lower case. */
export function parsePermitted(text: string): string | undefined {
  const host = parseHost(text);
  const covered = PUBLIC_REGISTRIES.some((name) => host === name || host?.endsWith(`.${name}`));
  return covered ? host : undefined;
}

/** The part of an upstream that differs between registries, as it would be written in the file. */
interface Preset {
  readonly hosts: readonly string[];
  readonly urls?: readonly string[];
  readonly authHosts?: readonly string[];
  readonly tokenHosts?: readonly string[];
}

/** The upstreams that exist without being written, by namespace. */
export const PRESETS: ReadonlyMap<string, Preset> = new Map<string, Preset>([
  [
    'docker.io',
    {
      hosts: ['docker.io', 'index.docker.io', 'registry-1.docker.io'],
      urls: ['https://registry-1.docker.io'],
      authHosts: ['auth.docker.io'],
      tokenHosts: ['auth.docker.io'],
    },
  ],
  ['ghcr.io', byName('ghcr.io')],
  ['quay.io', byName('quay.io')],
  ['lscr.io', { ...byName('lscr.io'), tokenHosts: ['ghcr.io'] }],
  ['registry.k8s.io', byName('registry.k8s.io')],
  ['gcr.io', byName('gcr.io')],
  ['mcr.microsoft.com', byName('mcr.microsoft.com')],
  ['public.ecr.aws', byName('public.ecr.aws')],
]);

/** What an upstream without a preset starts from: a namespace that names a machine says where it is. */
export function byName(namespace: string): Preset {
  const host = parseHost(namespace);
  const peer = parsePeer(namespace);
  return { hosts: host === undefined ? [] : [host], ...(peer !== undefined && { urls: [`https://${peer}`] }) };
}
