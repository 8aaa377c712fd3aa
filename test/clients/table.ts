import { buildah } from './clients/buildah.ts';
import { buildkit } from './clients/buildkit.ts';
import { buildx, buildxRemote } from './clients/buildx.ts';
import type { Client } from './clients/client.ts';
import { containerd, containerdInRanges } from './clients/containerd.ts';
import { cosign, cosignSteps, cosignTags, cosignTagsSteps } from './clients/cosign.ts';
import { crane } from './clients/crane.ts';
import { crictl } from './clients/crictl.ts';
import { docker, dockerWithContainerd } from './clients/docker.ts';
import { helm, helmSteps } from './clients/helm.ts';
import { oras, orasSteps } from './clients/oras.ts';
import { podman } from './clients/podman.ts';
import { regctl, regctlSteps } from './clients/regctl.ts';
import { skopeo } from './clients/skopeo.ts';
import type { Door } from './doors.ts';
import * as doors from './doors.ts';
import { buildkitPrograms, criPrograms, helmPrograms, regctlPrograms } from './go-programs.ts';
import type { Step } from './steps.ts';
import { htpasswdRegistry, openRegistry } from './upstreams/debian-registry.ts';
import { fakeRegistry } from './upstreams/fake-registry.ts';
import type { Upstream } from './upstreams/upstream.ts';

/** Debian 12 on the machine itself, Debian unstable in a folder, or a program built by Go and run on the machine. */
export type Generation = 'bookworm' | 'sid' | 'go';

export interface TestedClient {
  /** What the table calls it; the generations of one client share the name. */
  readonly name: string;
  readonly generation: Generation;
  readonly client: Client;
  /** The first one is tested with every upstream, the others with the first upstream. */
  readonly doors: readonly Door[];
  /** Its own steps instead of those of every client. */
  readonly steps?: readonly Step[];
  /** Upstreams instead of all of them. */
  readonly upstreams?: readonly string[];
  /** Makes its program, once before the rows, with the network of the machine. */
  readonly prepare?: () => Promise<unknown>;
}

/** A client, the way it is led to the gateway, and the registry behind: one machine, one gateway, many cells. */
export interface RowName {
  readonly client: string;
  readonly generation: Generation;
  readonly door: string;
  readonly upstream: string;
}

/** One cell of the table; it passed unless it says why not. */
export interface Result extends RowName {
  /** What the client says about itself; absent when the row did not get that far. */
  readonly version?: string;
  readonly step: string;
  readonly milliseconds: number;
  /** Why the client, the door or the registry cannot do it; nothing was tried then. */
  readonly cannot?: string;
  /** What has to be known although it passed. */
  readonly remark?: string;
  readonly error?: string;
}

const imageTools = [doors.transparent, doors.podmanMirror, doors.podmanPath, doors.pathOverTls];
const classic = [doors.transparent, doors.dockerMirror, doors.dockerPath, doors.pathOverTls];
const modern = [
  doors.transparent,
  doors.dockerMirror,
  doors.dockerHosts,
  doors.dockerDefault,
  doors.dockerPath,
  doors.pathOverTls,
];
const daemon = [
  doors.transparent,
  doors.containerdHosts,
  doors.containerdDefault,
  doors.containerdPath,
  doors.pathOverTls,
];
const commands = [doors.transparent, doors.plainPath, doors.pathOverTls];
const artifacts = { doors: commands, upstreams: ['hub', 'ghcr', 'quay'] };
/** For programs that reach registries by the code of another one here: a token server and a password are enough. */
const few = ['hub', 'docker-registry htpasswd'];
const builders = [doors.transparent, doors.buildkitMirror, doors.buildkitPath, doors.pathOverTls];

const cri = { name: 'crictl', client: crictl, doors: daemon, upstreams: few, prepare: criPrograms.prepare };

export const clients: readonly TestedClient[] = [
  { name: 'podman', generation: 'bookworm', client: podman, doors: imageTools },
  { name: 'podman', generation: 'sid', client: podman, doors: imageTools },
  { name: 'skopeo', generation: 'bookworm', client: skopeo, doors: imageTools },
  { name: 'skopeo', generation: 'sid', client: skopeo, doors: imageTools },
  { name: 'buildah', generation: 'bookworm', client: buildah, doors: imageTools },
  { name: 'buildah', generation: 'sid', client: buildah, doors: imageTools },
  { name: 'docker', generation: 'bookworm', client: docker, doors: classic },
  { name: 'docker', generation: 'sid', client: docker, doors: classic },
  { name: 'docker, containerd store', generation: 'sid', client: dockerWithContainerd, doors: modern },
  { name: 'containerd', generation: 'bookworm', client: containerd, doors: daemon },
  { name: 'containerd', generation: 'sid', client: containerd, doors: daemon },
  { name: 'containerd, parallel ranges', generation: 'sid', client: containerdInRanges, doors: daemon, upstreams: few },
  { ...cri, generation: 'bookworm' },
  { ...cri, generation: 'sid' },
  { name: 'crane', generation: 'sid', client: crane, doors: commands },
  { name: 'oras', generation: 'sid', client: oras, doors: commands, steps: orasSteps },
  {
    name: 'regctl',
    generation: 'go',
    client: regctl,
    doors: [...commands, doors.regctlMirror],
    steps: regctlSteps,
    prepare: regctlPrograms.prepare,
  },
  { ...artifacts, name: 'helm', generation: 'go', client: helm, steps: helmSteps, prepare: helmPrograms.prepare },
  { ...artifacts, name: 'cosign', generation: 'sid', client: cosign, steps: cosignSteps },
  { ...artifacts, name: 'cosign, tags', generation: 'sid', client: cosignTags, steps: cosignTagsSteps },
  { name: 'buildx, dockerd', generation: 'sid', client: buildx, doors: classic, upstreams: few },
  {
    name: 'buildx, buildkitd',
    generation: 'sid',
    client: buildxRemote,
    doors: builders,
    upstreams: few,
    prepare: buildkitPrograms.prepare,
  },
  {
    name: 'buildkit',
    generation: 'go',
    client: buildkit,
    doors: builders,
    upstreams: few,
    prepare: buildkitPrograms.prepare,
  },
];

/** Every row of the table. */
export function rows(): RowName[] {
  const all = [...upstreams.keys()];
  return clients.flatMap(({ name, generation, doors, upstreams = all }) =>
    doors.flatMap((door, index) =>
      (index === 0 ? upstreams : upstreams.slice(0, 1)).map((upstream) => ({
        client: name,
        generation,
        door: door.name,
        upstream,
      })),
    ),
  );
}

export function titleOf({ client, generation, door, upstream }: RowName): string {
  return `${client} ${generation} × ${door} × ${upstream}`;
}

export function testedClient({ client, generation }: RowName): TestedClient {
  const found = clients.find((entry) => entry.name === client && entry.generation === generation);
  if (found === undefined) throw new Error(`no client ${client} ${generation}`);
  return found;
}

export const upstreams: ReadonlyMap<string, () => Promise<Upstream>> = new Map([
  [
    'hub',
    fakeRegistry('docker.io', 'hub', {
      registry: 'registry-1.docker.io',
      token: 'auth.docker.io',
      cdn: 'production.cloudflare.docker.com',
    }),
  ],
  ['ghcr', fakeRegistry('ghcr.io', 'ghcr', { registry: 'ghcr.io', cdn: 'pkg-containers.githubusercontent.com' })],
  ['quay', fakeRegistry('quay.io', 'quay', { registry: 'quay.io', cdn: 'cdn01.quay.io' })],
  ['docker-registry', openRegistry],
  ['docker-registry htpasswd', htpasswdRegistry],
]);
