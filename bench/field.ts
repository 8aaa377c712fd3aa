import { rmSync } from 'node:fs';
import { mkdir, mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createAuthority } from '../test/support/pki.ts';
import { SeededBlob } from './blobs.ts';
import { ACCEPT, HOST } from './connection.ts';
import { Loaders } from './loaders.ts';
import { Origin } from './origin-process.ts';
import { startDockerRegistry } from './servers/docker-registry.ts';
import { startLayover } from './servers/layover.ts';
import { startNginxCache, startNginxFiles } from './servers/nginx.ts';
import type { Bed, Server } from './servers/server.ts';

const REPOSITORY = '/v2/library/bench';
const LAYERS = 8;
const LAYER_SIZE = 64 << 20;
const SMALL_LAYERS = 64;
const SMALL_LAYER_SIZE = 1 << 20;

/** Everything a run needs: an upstream, the servers in front of it with the same content, and processes that ask. */
export class Field implements AsyncDisposable {
  readonly origin: Origin;
  readonly servers: readonly Server[];
  /** Request paths of content that every server has. */
  readonly layers: readonly string[];
  readonly smallLayers: readonly string[];
  readonly manifests: readonly string[];
  readonly loaders = new Loaders();
  readonly otherLoaders = new Loaders(1);
  readonly #bed: Omit<Bed, 'dir'>;
  readonly #dir: string;

  private constructor(dir: string, bed: Omit<Bed, 'dir'>, servers: readonly Server[], content: Warm) {
    this.#dir = dir;
    this.#bed = bed;
    this.origin = bed.origin;
    this.servers = servers;
    this.layers = content.layers;
    this.smallLayers = content.smallLayers;
    this.manifests = content.manifests;
  }

  static async open(): Promise<Field> {
    const dir = await mkdtemp(join(tmpdir(), 'layover-bench-'));
    process.once('exit', () => rmSync(dir, { recursive: true, force: true }));
    const { ca, issue } = createAuthority();
    const certificate = issue([HOST, 'localhost', '127.0.0.1']);
    const caFile = join(dir, 'ca.pem');
    await writeFile(caFile, ca);
    const bed = { ca, caFile, certificate, origin: await Origin.start(certificate, ca) };
    const warm = await fillOrigin(bed.origin, join(dir, 'nginx-files', 'files'));
    const starts = [startLayover, startNginxFiles, startNginxCache, startDockerRegistry];
    const names = ['layover', 'nginx files', 'nginx cache', 'docker-registry'];
    const servers: Server[] = [];
    for (const [at, start] of starts.entries()) {
      const own = join(dir, (names[at] ?? '').replace(' ', '-'));
      await mkdir(own, { recursive: true });
      const server = await start({ ...bed, dir: own });
      if (server === undefined)
        console.log(`${names[at]} is left out: it is not installed (apt-get install ${names[at]?.split(' ')[0]})`);
      else servers.push(server);
    }
    return new Field(dir, bed, servers, warm);
  }

  /** Has every server that fetches fetch what the warm rows ask for. */
  async warmUp(): Promise<void> {
    for (const { target, fills } of this.servers) {
      if (!fills) continue;
      for (const path of [...this.layers, ...this.smallLayers, ...this.manifests])
        await this.loaders.fetch(target, path);
    }
  }

  /** The request path of a blob that only the origin has, and its digest. */
  async freshBlob(seed: string, size: number, bytesPerSecond?: number): Promise<{ path: string; digest: string }> {
    const digest = await this.origin.add({ seed, size, ...(bytesPerSecond !== undefined && { bytesPerSecond }) });
    return { path: `${REPOSITORY}/blobs/${digest}`, digest };
  }

  /** What another Layover is started with, below a directory of its own. */
  async bed(name: string): Promise<Bed> {
    const dir = join(this.#dir, name);
    await mkdir(dir, { recursive: true });
    return { ...this.#bed, dir };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.loaders[Symbol.dispose]();
    this.otherLoaders[Symbol.dispose]();
    for (const server of this.servers) await server[Symbol.asyncDispose]();
    this.origin[Symbol.dispose]();
  }
}

type Warm = Pick<Field, 'layers' | 'smallLayers' | 'manifests'>;

/** Puts the warm content into the origin, and as files below `root` for the server that fetches nothing. */
async function fillOrigin(origin: Origin, root: string): Promise<Warm> {
  for (const folder of ['blobs', 'manifests']) await mkdir(join(root, REPOSITORY, folder), { recursive: true });
  const blobs = async (kind: string, count: number, size: number): Promise<string[]> => {
    const paths: string[] = [];
    for (let at = 0; at < count; at++) {
      const seed = `${kind} ${at}`;
      const path = `${REPOSITORY}/blobs/${await origin.add({ seed, size })}`;
      await writeFile(join(root, path), new SeededBlob(seed, size).pieces());
      paths.push(path);
    }
    return paths;
  };
  const layers = await blobs('layer', LAYERS, LAYER_SIZE);
  const smallLayers = await blobs('small layer', SMALL_LAYERS, SMALL_LAYER_SIZE);
  const text = manifestText([...layers, ...smallLayers].slice(0, 12));
  const path = `${REPOSITORY}/manifests/${await origin.add({ text, mediaType: ACCEPT })}`;
  await writeFile(join(root, path), text);
  return { layers, smallLayers, manifests: [path] };
}

function manifestText(paths: readonly string[]): string {
  const layers = paths.map((path) => ({
    mediaType: 'application/vnd.docker.image.rootfs.diff.tar.gzip',
    size: LAYER_SIZE,
    digest: path.slice(path.lastIndexOf('/') + 1),
  }));
  const config = { ...layers[0], mediaType: 'application/vnd.docker.container.image.v1+json' };
  return JSON.stringify({ schemaVersion: 2, mediaType: ACCEPT, config, layers });
}
