/** What there is to be found out about a machine. */
export interface Machine {
  readonly platform: NodeJS.Platform;
  /** Whether a file or directory is there. */
  readonly has: (path: string) => boolean;
}

/** A root certificate to install: an absolute path, and `AA:BB:…`. */
export interface Installable {
  readonly file: string;
  readonly fingerprint: string;
}

/** A directory of roots that a command merges into the ones that the system trusts. */
interface Store {
  readonly systems: string;
  readonly directory: string;
  readonly merge: string;
}

const STORES: readonly Store[] = [
  {
    systems: 'Debian, Ubuntu, Alpine',
    directory: '/usr/local/share/ca-certificates',
    merge: 'update-ca-certificates',
  },
  { systems: 'RHEL, Fedora, Rocky, Alma', directory: '/etc/pki/ca-trust/source/anchors', merge: 'update-ca-trust' },
  { systems: 'openSUSE, SLES', directory: '/etc/pki/trust/anchors', merge: 'update-ca-certificates' },
  { systems: 'Arch', directory: '/etc/ca-certificates/trust-source/anchors', merge: 'update-ca-trust' },
];
/** They read the system's roots when they start and not again. */
const SERVICES = { dockerd: 'docker', containerd: 'containerd' };

/**
 * The commands that make this machine trust the roots, to be run as its administrator, with comments that say for which
 * kind of system each is; none when the machine is of no kind that we know.
 */
export function installCommands({ platform, has }: Machine, roots: readonly Installable[]): readonly string[] {
  if (platform === 'darwin') {
    const add = 'security add-trusted-cert -d -r trustRoot -k /Library/Keychains/System.keychain';
    return ['# macOS', ...roots.map(({ file }) => `${add} ${quoted(file)}`)];
  }
  if (platform === 'win32') return ['rem Windows', ...roots.map(({ file }) => `certutil -addstore -f Root "${file}"`)];
  const isCommand = (name: string): boolean =>
    ['/usr/sbin', '/usr/bin', '/sbin', '/bin'].some((dir) => has(`${dir}/${name}`));
  const stores = STORES.filter(({ directory, merge }) => has(directory) && isCommand(merge));
  if (stores.length === 0) return [];
  const restarts = Object.entries(SERVICES)
    .filter(([program]) => isCommand(program) && isCommand('systemctl'))
    .map(([, unit]) => `systemctl restart ${unit}`);
  return [
    ...stores.flatMap(({ systems, directory, merge }) => [
      `# ${systems}`,
      ...roots.map((root) => `install -m 644 ${quoted(root.file)} ${directory}/${fileName(root)}`),
      merge,
    ]),
    ...(restarts.length === 0 ? [] : ['# they read the roots once', ...restarts]),
  ];
}

/** Follows the certificate, so that the next root does not overwrite the one that still serves. */
function fileName({ fingerprint }: Installable): string {
  return `layover-${fingerprint.replaceAll(':', '').slice(0, 8).toLowerCase()}.crt`;
}

function quoted(path: string): string {
  return /^[\w@%+=:,./-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`;
}
