import { markedBlock, readDocument } from '../support/markdown.ts';

/** One way in which a client is led to the gateway. */
export interface Door {
  readonly name: string;
  /**
   * What the client knows: nothing, its names lead to the gateway (`transparent`); a mirror to ask before the registry
   * (`mirror`); the gateway as a registry of its own (`path`).
   */
  readonly kind: 'transparent' | 'mirror' | 'path';
  /** What stands in front of an image's name: `gateway.lan:5000/`, or nothing. */
  readonly prefix: string;
  /** Files of the client's machine, by path. */
  readonly files: Readonly<Record<string, string>>;
}

const [readme, page] = await Promise.all(['README.md', 'docs/clients.md'].map(readDocument));

/** A block of the documents, as users copy it. */
export function documented(name: string): string {
  return markedBlock(`${readme}\n${page}`, name);
}

function mirror(name: string, files: Readonly<Record<string, string>>): Door {
  return { name, kind: 'mirror', prefix: '', files };
}

/** Name resolution and the root CA. */
export const transparent: Door = { name: 'transparent', kind: 'transparent', prefix: '', files: {} };

/** The TLS listener, for which a client needs the root CA and nothing else. */
export const pathOverTls: Door = { name: 'path, TLS', kind: 'path', prefix: 'gateway.lan/', files: {} };

/** The plain listener, which clients take with the setting in these files. */
function path(files: Readonly<Record<string, string>>): Door {
  return { name: 'path', kind: 'path', prefix: 'gateway.lan:5000/', files };
}

/** The plain listener, for clients that are told so on their command line. */
export const plainPath = path({});

export const podmanMirror = mirror('registries.conf', {
  '/etc/containers/registries.conf.d/layover.conf': documented('podman'),
});
export const podmanPath = path({ '/etc/containers/registries.conf.d/layover.conf': documented('podmanpath') });

export const dockerMirror = mirror('registry-mirrors', { '/etc/docker/daemon.json': documented('docker') });
export const dockerHosts = mirror('hosts.toml', { '/etc/docker/certs.d/docker.io/hosts.toml': documented('hosts') });
export const dockerDefault = mirror('_default', { '/etc/docker/certs.d/_default/hosts.toml': documented('default') });
export const dockerPath = path({ '/etc/docker/daemon.json': documented('dockerpath') });

export const containerdHosts = mirror('hosts.toml', {
  '/etc/containerd/certs.d/docker.io/hosts.toml': documented('hosts'),
});
export const containerdDefault = mirror('_default', {
  '/etc/containerd/certs.d/_default/hosts.toml': documented('default'),
});
export const containerdPath = path({
  '/etc/containerd/certs.d/gateway.lan:5000/hosts.toml': documented('containerdpath'),
});

export const regctlMirror = mirror('config.json', { '/root/.regctl/config.json': documented('regctl') });

export const buildkitMirror = mirror('buildkitd.toml', { '/etc/buildkit/buildkitd.toml': documented('buildkit') });
export const buildkitPath = path({ '/etc/buildkit/buildkitd.toml': documented('buildkitpath') });
