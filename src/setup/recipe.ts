import type { BlockEdit, Edit } from './edit.ts';
import { buildkitBlock, hostsBlock, hostsFiles, k3sBlock, podmanFile } from './files.ts';
import { type Gateway, type Registry, rootFileName, urlOf } from './gateway.ts';
import { Unsuitable } from './unsuitable.ts';

export const CLIENTS = ['system', 'docker', 'podman', 'containerd', 'k3s', 'buildkit', 'crio'] as const;
export type Client = (typeof CLIENTS)[number];

export const MODES = ['auto', 'mirror', 'transparent'] as const;
export type Mode = (typeof MODES)[number];

/** What decides how a client is set up, as far as it was found on its machine. */
export interface Surroundings {
  /** The directory of the system's own roots, if it keeps them in a place that is known. */
  readonly trust: string | undefined;
  /** How docker keeps images: its older store takes mirrors for Docker Hub alone. */
  readonly dockerStore: 'classic' | 'containerd';
  readonly containerd: ContainerdSetting;
  /** The directory of k3s, or that of rke2. */
  readonly rancher: string;
}

/** Where containerd looks for `hosts.toml`, and what has to be done so that it looks there. */
export interface ContainerdSetting {
  readonly certs: string;
  readonly edit?: BlockEdit;
  readonly remark?: string;
}

/** What makes a client pull through the gateway. */
export interface Recipe {
  /** Which registries come by which way, in one line. */
  readonly way: string;
  readonly edits: readonly Edit[];
  /** What only a person may decide to do afterwards. */
  readonly left: readonly string[];
  readonly remarks: readonly string[];
  /** What pulls do while the gateway does not answer. */
  readonly whenDown: string;
}

export const NO_TRUST = 'this system keeps its roots in a place that is not known here: install ca-certificates first';
const MIRROR_DOWN = 'clients ask the registries themselves, and pulls go on';
const PRIVATE =
  'the gateway ignores logins on this way: private images come from their registry, and pushes go there, as before';
const HOME = 'users who have settings of their own below ~/.config are left alone';

export function recipeOf(client: Client, mode: Mode, gateway: Gateway, found: Surroundings): Recipe {
  if (client === 'system' && mode === 'mirror')
    throw new Unsuitable('the system itself knows no mirrors: name a client, or leave out --mode');
  if (client === 'buildkit' && mode === 'transparent')
    throw new Unsuitable('a builder in a container has a hosts file and roots of its own: use --mode mirror');
  if (client === 'system' || mode === 'transparent') return transparent(client, gateway, gateway.registries, found);
  switch (client) {
    case 'docker':
      return docker(mode, gateway, found);
    case 'podman':
    case 'crio':
      return mirrored(gateway, [podmanFile(gateway)], client === 'podman' ? [HOME] : []);
    case 'containerd':
      return containerd(gateway, found.containerd);
    case 'k3s':
      return mirrored(gateway, [k3sBlock(gateway, found.rancher)], []);
    case 'buildkit':
      return mirrored(gateway, [buildkitBlock(gateway)], []);
  }
}

function mirrored(gateway: Gateway, edits: readonly Edit[], remarks: readonly string[]): Recipe {
  const isDefault = gateway.isDefault === true && edits.some(({ path }) => /_default|registries\.yaml/.test(path));
  const way = `${isDefault ? 'every registry' : namesOf(gateway.registries)} through the mirror ${urlOf(gateway)}`;
  return { way, edits, left: [], remarks: [PRIVATE, ...remarks], whenDown: MIRROR_DOWN };
}

/** The older image store takes a mirror for Docker Hub alone. */
function docker(mode: Mode, gateway: Gateway, found: Surroundings): Recipe {
  if (found.dockerStore === 'containerd')
    return mirrored(gateway, hostsFiles(gateway, '/etc/docker/certs.d'), [
      'docker uses its containerd image store',
      HOME,
    ]);
  const hub = gateway.registries.filter(({ name }) => name === 'docker.io');
  const others = gateway.registries.filter(({ name }) => name !== 'docker.io');
  const mirror: Edit = {
    kind: 'entry',
    path: '/etc/docker/daemon.json',
    key: 'registry-mirrors',
    value: urlOf(gateway),
  };
  const byMirror = mirrored({ ...gateway, registries: hub }, hub.length === 0 ? [] : [mirror], [HOME]);
  const why = 'docker uses its classic image store, which takes mirrors for Docker Hub alone';
  if (mode === 'mirror' || others.length === 0)
    return { ...byMirror, remarks: [`${why}: other registries stay as they are`, ...byMirror.remarks] };
  const byName = transparent('docker', gateway, others, found);
  return {
    way: `${byMirror.way}; ${byName.way}`,
    edits: [...byMirror.edits, ...byName.edits],
    left: [],
    remarks: [`${why}: the others are led to the gateway by their names`, ...byName.remarks],
    whenDown: `docker.io: ${MIRROR_DOWN}. ${byName.whenDown}`,
  };
}

function containerd(gateway: Gateway, { certs, edit, remark }: ContainerdSetting): Recipe {
  const edits = [...hostsFiles(gateway, certs), ...(edit ? [edit] : [])];
  return mirrored(gateway, edits, [
    ...(remark === undefined ? [] : [remark]),
    `ctr reads them when it is told: ctr images pull --hosts-dir ${certs} …`,
  ]);
}

/** The names of registries lead to the gateway, and its roots are trusted; for every program of the machine. */
function transparent(client: Client, gateway: Gateway, registries: readonly Registry[], found: Surroundings): Recipe {
  const { trust } = found;
  if (trust === undefined) throw new Unsuitable(NO_TRUST);
  const roots = gateway.roots.map(
    (root) => ({ kind: 'file', path: `${trust}/${rootFileName(root)}`, content: root.pem }) as const,
  );
  const isHub = registries.some(({ name }) => name === 'docker.io');
  return {
    way: `${namesOf(registries)} by their own names, led to ${gateway.address}, for every program of this machine`,
    edits: [
      ...roots,
      ...(client === 'docker' ? dockerRoots(gateway, registries) : []),
      hostsBlock(gateway, registries),
    ],
    left: restartsFor(client, isHub),
    remarks: [
      'programs that run may keep the hosts file for some seconds',
      'programs in containers have a hosts file and roots of their own',
    ],
    whenDown: `${namesOf(registries)}: pulls and pushes fail until it is back, or until this is undone`,
  };
}

/** Docker reads these for each pull; for Docker Hub only the system's roots count. */
function dockerRoots({ roots }: Gateway, registries: readonly Registry[]): readonly Edit[] {
  const content = roots.map(({ pem }) => pem).join('');
  return registries
    .filter(({ name }) => name !== 'docker.io')
    .map(({ name }) => ({ kind: 'file', path: `/etc/docker/certs.d/${name}/layover.crt`, content }));
}

/** Daemons that read the system's roots when they start and not again. */
const READS_ONCE: Readonly<Partial<Record<Client, string>>> = {
  system: 'restart the daemons that pull (docker, containerd, k3s, crio)',
  containerd: 'systemctl restart containerd',
  k3s: 'systemctl restart k3s (k3s-agent, rke2-server, rke2-agent)',
  crio: 'systemctl restart crio',
};

function restartsFor(client: Client, isHub: boolean): readonly string[] {
  const restart = client === 'docker' && isHub ? 'systemctl restart docker' : READS_ONCE[client];
  if (restart === undefined) return [];
  return [`${restart}: the system's roots are read at the start, and pulls fail until then`];
}

function namesOf(registries: readonly Registry[]): string {
  return registries.map(({ name }) => name).join(', ');
}
