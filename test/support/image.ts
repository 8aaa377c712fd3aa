import { type Content, digestOf, fromBytes, generated, gzipped } from './content.ts';
import { tar } from './tar.ts';

/** The media types that registries and clients exchange, of both image formats. */
export const TYPES = {
  ociIndex: 'application/vnd.oci.image.index.v1+json',
  ociManifest: 'application/vnd.oci.image.manifest.v1+json',
  ociConfig: 'application/vnd.oci.image.config.v1+json',
  ociLayer: 'application/vnd.oci.image.layer.v1.tar+gzip',
  ociEmpty: 'application/vnd.oci.empty.v1+json',
  dockerList: 'application/vnd.docker.distribution.manifest.list.v2+json',
  dockerManifest: 'application/vnd.docker.distribution.manifest.v2+json',
  dockerConfig: 'application/vnd.docker.container.image.v1+json',
  dockerLayer: 'application/vnd.docker.image.rootfs.diff.tar.gzip',
  schema1Signed: 'application/vnd.docker.distribution.manifest.v1+prettyjws',
} as const;

export interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
  readonly artifactType?: string;
  readonly platform?: { readonly os: string; readonly architecture: string };
  readonly annotations?: Readonly<Record<string, string>>;
}

export interface StoredManifest {
  readonly digest: string;
  readonly mediaType: string;
  readonly bytes: Buffer;
}

/** Everything a registry must hold to serve one image. */
export interface Image {
  /** Digest of the top manifest: the index, or the manifest of an image for one platform. */
  readonly digest: string;
  readonly blobs: ReadonlyMap<string, Content>;
  /** Children first, the top manifest last. */
  readonly manifests: readonly StoredManifest[];
  readonly tags: readonly string[];
}

export interface ImageOptions {
  /** The same options and seed give the same bytes. */
  readonly seed?: string;
  readonly format?: 'oci' | 'docker';
  /** More than one gives an index. */
  readonly platforms?: readonly string[];
  /** Bytes of incompressible filler per layer; a seed of its own makes a layer that images share. */
  readonly layers?: readonly (number | { readonly seed: string; readonly size: number })[];
  readonly tags?: readonly string[];
  readonly algorithm?: 'sha256' | 'sha512';
  /** Adds what BuildKit adds to an index: a manifest for `unknown/unknown` per platform. */
  readonly attestations?: boolean;
}

/** An image whose layers are real tar.gz files and whose config a real client accepts. */
export function makeImage(options: ImageOptions = {}): Image {
  const maker = new Maker(options);
  const platforms = options.platforms ?? ['linux/amd64', 'linux/arm64'];
  const entries = platforms.map((platform) => maker.platform(platform));
  if (options.attestations === true) entries.push(...entries.map((entry) => maker.attestation(entry)));
  const [only] = entries;
  const top = entries.length === 1 && only !== undefined ? only : maker.index(entries);
  return { digest: top.digest, blobs: maker.blobs, manifests: maker.manifests, tags: options.tags ?? ['latest'] };
}

class Maker {
  readonly blobs = new Map<string, Content>();
  readonly manifests: StoredManifest[] = [];
  readonly #options: ImageOptions;
  readonly #seed: string;
  readonly #docker: boolean;

  constructor(options: ImageOptions) {
    this.#options = options;
    this.#seed = options.seed ?? 'layover';
    this.#docker = options.format === 'docker';
  }

  platform(platform: string): Descriptor {
    const [os = 'linux', architecture = 'amd64'] = platform.split('/');
    const layers = (this.#options.layers ?? [2048, 4096]).map((layer, index) =>
      typeof layer === 'number'
        ? this.#layer(`${this.#seed} ${platform} layer ${index}`, layer)
        : this.#layer(layer.seed, layer.size),
    );
    const config = {
      created: '2026-01-01T00:00:00Z',
      os,
      architecture,
      config: { Cmd: ['/bin/true'], Labels: { seed: this.#seed } },
      rootfs: { type: 'layers', diff_ids: layers.map((layer) => layer.diffId) },
      history: layers.map(() => ({ created: '2026-01-01T00:00:00Z', created_by: 'layover test' })),
    };
    const manifest = this.#manifest(this.#docker ? TYPES.dockerManifest : TYPES.ociManifest, {
      config: this.#json(this.#docker ? TYPES.dockerConfig : TYPES.ociConfig, config),
      layers: layers.map((layer) => layer.descriptor),
    });
    return { ...manifest, platform: { os, architecture } };
  }

  attestation(of: Descriptor): Descriptor {
    const statement = { _type: 'https://in-toto.io/Statement/v0.1', subject: [{ digest: of.digest }] };
    const config = this.#json(TYPES.ociConfig, { os: 'unknown', architecture: 'unknown', rootfs: { type: 'layers' } });
    const layers = [this.#json('application/vnd.in-toto+json', statement)];
    return {
      ...this.#manifest(TYPES.ociManifest, { config, layers }),
      platform: { os: 'unknown', architecture: 'unknown' },
      annotations: {
        'vnd.docker.reference.type': 'attestation-manifest',
        'vnd.docker.reference.digest': of.digest,
      },
    };
  }

  index(manifests: readonly Descriptor[]): Descriptor {
    return this.#manifest(this.#docker ? TYPES.dockerList : TYPES.ociIndex, { manifests });
  }

  artifact(subject: Descriptor, artifactType: string): Descriptor {
    const config = this.#json(TYPES.ociEmpty, {});
    const layers = [this.#json('application/octet-stream', { seed: this.#seed })];
    return { ...this.#manifest(TYPES.ociManifest, { artifactType, config, layers, subject }), artifactType };
  }

  #layer(seed: string, size: number): { descriptor: Descriptor; diffId: string } {
    const archive = tar([
      { path: 'etc/' },
      { path: 'etc/os-release', content: fromBytes('ID=layover\nNAME="Layover test"\n') },
      { path: `filler-${digestOf(fromBytes(seed)).slice(7, 15)}`, content: generated(seed, size) },
    ]);
    const descriptor = this.#blob(this.#docker ? TYPES.dockerLayer : TYPES.ociLayer, gzipped(archive));
    return { descriptor, diffId: digestOf(archive) };
  }

  #json(mediaType: string, value: unknown): Descriptor {
    return this.#blob(mediaType, fromBytes(JSON.stringify(value)));
  }

  #blob(mediaType: string, content: Content): Descriptor {
    const digest = digestOf(content, this.#options.algorithm);
    this.blobs.set(digest, content);
    return { mediaType, digest, size: content.size };
  }

  #manifest(mediaType: string, body: object): Descriptor {
    const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType, ...body }, undefined, 2));
    const digest = digestOf(fromBytes(bytes), this.#options.algorithm);
    this.manifests.push({ digest, mediaType, bytes });
    return { mediaType, digest, size: bytes.length };
  }
}

/** A signature-like artifact whose `subject` is the top manifest of an image: what the referrers API lists. */
export function makeArtifact(
  subject: Image,
  options: { readonly seed?: string; readonly artifactType?: string; readonly tags?: readonly string[] } = {},
): Image {
  const top = topOf(subject);
  const maker = new Maker({ seed: options.seed ?? 'artifact' });
  const descriptor = { mediaType: top.mediaType, digest: top.digest, size: top.bytes.length };
  const { digest } = maker.artifact(descriptor, options.artifactType ?? 'application/vnd.example.signature');
  return { digest, blobs: maker.blobs, manifests: maker.manifests, tags: options.tags ?? [] };
}

/** The index of an image, or its only manifest. */
export function topOf(image: Image): StoredManifest {
  const top = image.manifests.find((manifest) => manifest.digest === image.digest);
  if (top === undefined) throw new Error(`image without its top manifest ${image.digest}`);
  return top;
}

/** The digests of an image's layers and configs for one platform, in the order a client asks for them: config first. */
export function blobsOf(image: Image, platform: string = 'linux/amd64'): string[] {
  let manifest = JSON.parse(topOf(image).bytes.toString()) as ManifestJson;
  const entry = manifest.manifests?.find(({ platform: at }) => `${at?.os}/${at?.architecture}` === platform);
  const child = image.manifests.find(({ digest }) => digest === entry?.digest);
  if (child !== undefined) manifest = JSON.parse(child.bytes.toString()) as ManifestJson;
  return [manifest.config, ...(manifest.layers ?? [])].flatMap((descriptor) => descriptor?.digest ?? []);
}

/** What a client reads of a manifest or an index. */
export interface ManifestJson {
  readonly mediaType?: string;
  readonly artifactType?: string;
  readonly config?: Descriptor;
  readonly layers?: readonly Descriptor[];
  readonly manifests?: readonly Descriptor[];
  readonly subject?: Descriptor;
  readonly annotations?: Readonly<Record<string, string>>;
}
