import type { Has, TrustStore } from './trust.ts';

/** A file that was changed, or is gone. */
export interface Touched {
  readonly path: string;
  readonly isGone: boolean;
}

/** What has to follow a change before clients see it. */
export interface Consequences {
  /** Command lines for a shell, which stop nothing that runs. */
  readonly run: readonly string[];
  /** What a person decides about, restarts above all. */
  readonly left: readonly string[];
}

/** A daemon that has to be told of a change; one that does not run reads it when it starts. */
interface Reload {
  /** What the paths begin with. */
  readonly path: string;
  /** Is there while the daemon runs. */
  readonly running: string;
  readonly systemd: string;
  readonly otherwise: string;
}

interface Restart {
  readonly path: string;
  readonly text: string;
}

/** Debian tells programs here which roots came or went, but says nothing of one that an administrator took away. */
export const HOOKS = '/etc/ca-certificates/update.d';

/** Tells them; `pems` are arguments of a shell. */
export function tellHooks(pems: string): string {
  return `for hook in ${HOOKS}/*; do if [ -x "$hook" ]; then printf '%s\\n' ${pems} | "$hook"; fi; done`;
}

export const SYSTEMD = '/run/systemd/system';

export const RELOADS: readonly Reload[] = [
  {
    path: '/etc/docker/daemon.json',
    running: '/run/docker.pid',
    systemd: 'systemctl reload docker',
    otherwise: 'kill -HUP "$(cat /run/docker.pid)"',
  },
  {
    path: '/etc/containers/registries.conf.d/',
    running: '/run/crio/crio.sock',
    systemd: 'systemctl reload crio',
    otherwise: 'pkill -HUP -x crio',
  },
];

export const RESTARTS: readonly Restart[] = [
  { path: '/etc/containerd/config.toml', text: 'systemctl restart containerd: it reads config.toml when it starts' },
  {
    path: '/etc/rancher/k3s/registries.yaml',
    text: 'systemctl restart k3s (on agents: k3s-agent): it reads registries.yaml when it starts',
  },
  {
    path: '/etc/rancher/rke2/registries.yaml',
    text: 'systemctl restart rke2-server (on agents: rke2-agent): it reads registries.yaml when it starts',
  },
  {
    path: '/etc/buildkit/buildkitd.toml',
    text: 'restart buildkitd; a builder of buildx is made anew, with --buildkitd-config /etc/buildkit/buildkitd.toml',
  },
];

export function consequencesOf(touched: readonly Touched[], trust: TrustStore | undefined, has: Has): Consequences {
  const isTouched = (start: string): boolean => touched.some(({ path }) => path.startsWith(start));
  const merge = trust === undefined ? [] : mergeCommands(touched, trust, has);
  const reloads = RELOADS.filter(({ path, running }) => isTouched(path) && has(running)).map(
    ({ systemd, otherwise }) => (has(SYSTEMD) ? systemd : otherwise),
  );
  const left = RESTARTS.filter(({ path }) => isTouched(path)).map(({ text }) => text);
  return { run: [...merge, ...reloads], left };
}

function mergeCommands(
  touched: readonly Touched[],
  { directory, merge, renew }: TrustStore,
  has: Has,
): readonly string[] {
  const roots = touched.filter(({ path }) => path.startsWith(`${directory}/`));
  const gone = roots.filter(({ isGone }) => isGone).map(({ path }) => path.slice(directory.length + 1));
  if (gone.length === 0) return roots.length === 0 ? [] : [merge];
  const pems = [...new Set(gone)].map((name) => `-/etc/ssl/certs/${name.replace(/\.crt$/, '.pem')}`);
  return [renew, ...(has(HOOKS) ? [tellHooks(pems.join(' '))] : [])];
}
