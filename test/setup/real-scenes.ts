import type { Client } from '../clients/clients/client.ts';
import { containerd } from '../clients/clients/containerd.ts';
import { docker } from '../clients/clients/docker.ts';
import { podman } from '../clients/clients/podman.ts';
import { skopeo } from '../clients/clients/skopeo.ts';
import type { Door } from '../clients/doors.ts';
import { fakeRegistry } from '../clients/upstreams/fake-registry.ts';

/** A client of Debian on a machine of its own, which `layover setup` sets up and undoes. */
export interface Scene {
  readonly client: Client;
  /** What is set up. */
  readonly setup: readonly string[];
  /** By the script that the gateway serves, instead of the command. */
  readonly isScript?: boolean;
  readonly registry: 'hub' | 'ghcr';
  readonly door: Door;
}

const mirror: Door = { name: 'setup', kind: 'mirror', prefix: '', files: { 'by setup': '' } };
const named: Door = { name: 'setup', kind: 'transparent', prefix: '', files: {} };

export const SCENES: ReadonlyMap<string, Scene> = new Map<string, Scene>(
  Object.entries({
    podman: { client: podman, setup: ['podman'], registry: 'hub', door: mirror },
    skopeo: { client: skopeo, setup: ['podman'], registry: 'ghcr', door: mirror },
    containerd: { client: containerd, setup: ['containerd'], registry: 'hub', door: mirror },
    'docker, Docker Hub': { client: docker, setup: ['docker'], registry: 'hub', door: mirror },
    'docker, ghcr.io': { client: docker, setup: ['docker'], registry: 'ghcr', door: named },
    'system, skopeo': { client: skopeo, setup: ['system'], registry: 'hub', door: named },
    'docker, ghcr.io, by the script': {
      client: docker,
      setup: ['docker'],
      isScript: true,
      registry: 'ghcr',
      door: named,
    },
  }),
);

export const REGISTRIES = {
  hub: fakeRegistry('docker.io', 'hub', {
    registry: 'registry-1.docker.io',
    token: 'auth.docker.io',
    cdn: 'production.cloudflare.docker.com',
  }),
  ghcr: fakeRegistry('ghcr.io', 'ghcr', { registry: 'ghcr.io', cdn: 'pkg-containers.githubusercontent.com' }),
};
