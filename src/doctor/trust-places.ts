import type { X509Certificate } from 'node:crypto';
import { glob, readFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { certificatesIn } from './roots.ts';
import type { TrustPlace } from './trust.ts';

/** What programs of the system read; the first that is there is the one that counts. */
const BUNDLES = [
  '/etc/ssl/certs/ca-certificates.crt',
  '/etc/pki/tls/certs/ca-bundle.crt',
  '/etc/ssl/ca-bundle.pem',
  '/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem',
  '/etc/ssl/cert.pem',
];

/** Certificates in directories, and files that name certificates. */
const SOURCES: readonly { readonly client: TrustPlace['client']; readonly certificates: string }[] = [
  { client: 'system', certificates: '/usr/local/share/ca-certificates/**/*.crt' },
  { client: 'system', certificates: '/etc/pki/ca-trust/source/anchors/*' },
  { client: 'system', certificates: '/etc/pki/trust/anchors/*' },
  { client: 'system', certificates: '/etc/ca-certificates/trust-source/anchors/*' },
  { client: 'docker', certificates: '/etc/docker/certs.d/*/*.crt' },
  { client: 'podman', certificates: '/etc/containers/certs.d/*/*.crt' },
  { client: 'containerd', certificates: '/etc/containerd/certs.d/*/*.crt' },
];
const NAMING: readonly { readonly client: TrustPlace['client']; readonly files: string; readonly key: string }[] = [
  { client: 'docker', files: '/etc/docker/certs.d/*/hosts.toml', key: 'ca' },
  { client: 'containerd', files: '/etc/containerd/certs.d/*/hosts.toml', key: 'ca' },
  { client: 'buildkit', files: '/etc/buildkit/buildkitd.toml', key: 'ca' },
  { client: 'k3s', files: '/etc/rancher/{k3s,rke2}/registries.yaml', key: 'ca_file' },
];

/** The PEM of what programs of the machine below `root` trust; `undefined` where it is kept in another way. */
export async function systemBundle(
  root: string,
): Promise<{ readonly file: string; readonly text: string } | undefined> {
  for (const file of BUNDLES) {
    const text = await readFile(join(root, file), 'utf8').catch(() => undefined);
    if (text !== undefined) return { file, text };
  }
  return undefined;
}

/** Every place below `root` that holds, or should hold, a root of a gateway: one of `roots`, or an older one. */
export async function probePlaces(root: string, roots: readonly X509Certificate[]): Promise<readonly TrustPlace[]> {
  const known = new Set(roots.map(({ fingerprint256 }) => fingerprint256));
  const read = async (client: TrustPlace['client'], file: string, host?: string): Promise<TrustPlace> => {
    const text = await readFile(join(root, file), 'utf8').catch(() => undefined);
    const held = certificatesIn(text ?? '').filter((one) => known.has(one.fingerprint256) || isGateway(one));
    return {
      client,
      file,
      ...(host !== undefined && { host }),
      roots: held.map(({ fingerprint256, validToDate }) => ({
        fingerprint: fingerprint256,
        notAfter: validToDate.getTime(),
      })),
      ...(text === undefined && { missing: true }),
    };
  };
  const bundle = await systemBundle(root);
  const found = await Promise.all([
    ...(bundle === undefined ? [] : [read('system', bundle.file)]),
    ...(await certificates(root)).map(({ client, file, host }) => read(client, file, host)),
    ...(await named(root)).map(({ client, file, host }) => read(client, file, host)),
  ]);
  return found.filter((place) => place.roots.length > 0 || place.missing);
}

type Place = Pick<TrustPlace, 'client' | 'file'> & { readonly host?: string };

async function certificates(root: string): Promise<readonly Place[]> {
  const found = SOURCES.map(async ({ client, certificates: pattern }) =>
    (await filesBelow(root, pattern)).map((file) => ({ client, file, ...hostOf(client, file) })),
  );
  return (await Promise.all(found)).flat();
}

/** The files that configurations name, in whatever form their format has: `ca = "…"`, `ca = ["…"]`, `ca_file: …`. */
async function named(root: string): Promise<readonly Place[]> {
  const found = NAMING.map(async ({ client, files, key }) => {
    const places: Place[] = [];
    for (const file of await filesBelow(root, files)) {
      const text = await readFile(join(root, file), 'utf8').catch(() => '');
      for (const path of pathsOf(text, key)) places.push({ client, file: path, ...hostOf(client, file) });
    }
    return places;
  });
  return (await Promise.all(found)).flat();
}

/** The absolute paths behind a key of TOML or YAML, which may be one or a list on one line. */
export function pathsOf(text: string, key: string): readonly string[] {
  const lines = text.matchAll(new RegExp(`^\\s*"?${key}"?\\s*[=:]\\s*(.+)$`, 'gm'));
  const paths = [...lines].flatMap(([, value = '']) => [...value.matchAll(/\/[^"'\],\s]+/g)].map(([path]) => path));
  return [...new Set(paths)];
}

/** In `certs.d`, the directory is called as the host. */
function hostOf(client: TrustPlace['client'], file: string): { readonly host?: string } {
  return client === 'system' || !file.includes('/certs.d/') ? {} : { host: basename(dirname(file)) };
}

async function filesBelow(root: string, pattern: string): Promise<readonly string[]> {
  const files = await Array.fromAsync(glob(pattern.slice(1), { cwd: root })).catch(() => []);
  return files.map((file) => `/${file}`).toSorted();
}

function isGateway({ subject }: X509Certificate): boolean {
  return /^O=Layover$/m.test(subject);
}

/** Files below `root` in which a client names one of `gateways` (`host:port`) as a mirror. */
export async function probeMirrors(root: string, gateways: readonly string[]): Promise<readonly string[]> {
  const patterns = [
    '/etc/docker/daemon.json',
    '/etc/docker/certs.d/*/hosts.toml',
    '/etc/containerd/certs.d/*/hosts.toml',
    '/etc/containers/registries.conf',
    '/etc/containers/registries.conf.d/*.conf',
    '/etc/buildkit/buildkitd.toml',
    '/etc/rancher/{k3s,rke2}/registries.yaml',
  ];
  const files = (await Promise.all(patterns.map((pattern) => filesBelow(root, pattern)))).flat();
  const naming = await Promise.all(
    files.map(async (file) => {
      const text = await readFile(join(root, file), 'utf8').catch(() => '');
      return gateways.some((gateway) => text.includes(gateway)) ? [file] : [];
    }),
  );
  return naming.flat();
}
