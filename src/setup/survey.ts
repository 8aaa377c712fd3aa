import { takeBlock } from './block.ts';
import { CONTAINERD_CONFIG, containerdSetting } from './containerd.ts';
import type { Disk } from './disk.ts';
import type { Surroundings } from './recipe.ts';
import { type TrustStore, trustStores } from './trust.ts';

/** What programs say of themselves; undefined where they are not there or do not answer. */
export interface Told {
  /** The first output line of `docker info --format '{{.DriverStatus}}'`. */
  readonly dockerDriver?: string | undefined;
  /** What `containerd --version` prints. */
  readonly containerdVersion?: string | undefined;
}

export const K3S = '/etc/rancher/k3s';
export const RKE2 = '/etc/rancher/rke2';

/** Where this machine keeps its own roots. */
export function trustStoreOf(disk: Pick<Disk, 'has'>): TrustStore | undefined {
  return trustStores((path) => disk.has(path))[0];
}

export function survey(disk: Pick<Disk, 'has' | 'read'>, { dockerDriver, containerdVersion }: Told): Surroundings {
  const version = /\bv?(\d+)\.\d+\.\d+/.exec(containerdVersion ?? '')?.[1];
  return {
    trust: trustStoreOf(disk)?.directory,
    dockerStore: dockerStore(dockerDriver, disk.read('/etc/docker/daemon.json') ?? ''),
    rancher: disk.has(RKE2) && !disk.has(K3S) ? RKE2 : K3S,
    containerd: containerdSetting(
      withoutOurs(disk.read(CONTAINERD_CONFIG)),
      version === undefined ? undefined : Number.parseInt(version, 10),
    ),
  };
}

/** Our own setting is no reason to leave it out. */
function withoutOurs(text: string | undefined): string | undefined {
  return text === undefined ? undefined : (takeBlock(text, 'containerd') ?? text);
}

/** The daemon knows; while it does not run, its settings do. */
function dockerStore(driver: string | undefined, settings: string): Surroundings['dockerStore'] {
  const isContainerd =
    driver === undefined
      ? /"containerd-snapshotter"\s*:\s*true/.test(settings)
      : driver.includes('io.containerd.snapshotter');
  return isContainerd ? 'containerd' : 'classic';
}
