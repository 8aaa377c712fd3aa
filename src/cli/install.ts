import { rootFileName } from '../setup/gateway.ts';
import { type Has, isProgram, trustStores } from '../setup/trust.ts';

/** What there is to be found out about a machine. */
export interface Machine {
  readonly platform: NodeJS.Platform;
  /** Whether a file or directory is there. */
  readonly has: Has;
}

/** A root certificate to install: an absolute path, and `AA:BB:…`. */
export interface Installable {
  readonly file: string;
  readonly fingerprint: string;
}

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
  const stores = trustStores(has);
  if (stores.length === 0) return [];
  const restarts = Object.entries(SERVICES)
    .filter(([program]) => isProgram(has, program) && isProgram(has, 'systemctl'))
    .map(([, unit]) => `systemctl restart ${unit}`);
  return [
    ...stores.flatMap(({ systems, directory, merge }) => [
      `# ${systems}`,
      ...roots.map((root) => `install -m 644 ${quoted(root.file)} ${directory}/${rootFileName(root)}`),
      merge,
    ]),
    ...(restarts.length === 0 ? [] : ['# they read the roots once', ...restarts]),
  ];
}

/** As a shell takes it for one word. */
export function quoted(path: string): string {
  return /^[\w@%+=:,./-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`;
}
