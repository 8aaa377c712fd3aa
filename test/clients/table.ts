import type { Client } from './clients/client.ts';
import { containerd } from './clients/containerd.ts';
import { docker, dockerWithContainerd } from './clients/docker.ts';
import { podman } from './clients/podman.ts';
import { skopeo } from './clients/skopeo.ts';
import { htpasswdRegistry, openRegistry } from './upstreams/debian-registry.ts';
import { fakeRegistry } from './upstreams/fake-registry.ts';
import type { Upstream } from './upstreams/upstream.ts';

/** One cell of the table; without `error` it passed. */
export interface Result {
  readonly client: string;
  readonly upstream: string;
  /** What the client says about itself; absent when the row did not get that far. */
  readonly version?: string;
  readonly step: string;
  readonly milliseconds: number;
  readonly error?: string;
}

export type Release = 'bookworm' | 'sid';

export const clients: ReadonlyMap<string, { readonly release: Release; readonly client: Client }> = new Map([
  ['podman bookworm', { release: 'bookworm', client: podman }],
  ['skopeo bookworm', { release: 'bookworm', client: skopeo }],
  ['docker bookworm', { release: 'bookworm', client: docker }],
  ['containerd bookworm', { release: 'bookworm', client: containerd }],
  ['podman sid', { release: 'sid', client: podman }],
  ['skopeo sid', { release: 'sid', client: skopeo }],
  ['docker sid', { release: 'sid', client: dockerWithContainerd }],
  ['containerd sid', { release: 'sid', client: containerd }],
]);

export const upstreams: ReadonlyMap<string, () => Promise<Upstream>> = new Map([
  ['hub', fakeRegistry('docker.io', 'hub')],
  ['ghcr', fakeRegistry('ghcr.io', 'ghcr')],
  ['quay', fakeRegistry('quay.io', 'quay')],
  ['docker-registry', openRegistry],
  ['docker-registry htpasswd', htpasswdRegistry],
]);
