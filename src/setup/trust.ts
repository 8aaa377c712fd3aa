/** A directory of roots that a command merges into the ones that the system trusts. */
export interface TrustStore {
  readonly systems: string;
  readonly directory: string;
  readonly merge: string;
  /** Merges after a root was taken away. */
  readonly renew: string;
}

/** In the order in which they are looked for. */
export const TRUST_STORES: readonly TrustStore[] = [
  {
    systems: 'Debian, Ubuntu, Alpine',
    directory: '/usr/local/share/ca-certificates',
    merge: 'update-ca-certificates',
    renew: 'update-ca-certificates --fresh',
  },
  {
    systems: 'RHEL, Fedora, Rocky, Alma',
    directory: '/etc/pki/ca-trust/source/anchors',
    merge: 'update-ca-trust',
    renew: 'update-ca-trust',
  },
  {
    systems: 'openSUSE, SLES',
    directory: '/etc/pki/trust/anchors',
    merge: 'update-ca-certificates',
    renew: 'update-ca-certificates --fresh',
  },
  {
    systems: 'Arch',
    directory: '/etc/ca-certificates/trust-source/anchors',
    merge: 'update-ca-trust',
    renew: 'update-ca-trust',
  },
];

/** The places of programs. */
const PROGRAM_DIRECTORIES = ['/usr/sbin', '/usr/bin', '/sbin', '/bin', '/usr/local/sbin', '/usr/local/bin'];

export type Has = (path: string) => boolean;

export function isProgram(has: Has, name: string): boolean {
  return PROGRAM_DIRECTORIES.some((directory) => has(`${directory}/${name}`));
}

/** The places where this system keeps roots of its administrator, those that are there. */
export function trustStores(has: Has): readonly TrustStore[] {
  return TRUST_STORES.filter(({ directory, merge }) => has(directory) && isProgram(has, merge));
}
