import { rmSync } from 'node:fs';
import { mkdir, mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createAuthority } from '../test/support/pki.ts';
import { HOST, type Request } from './connection.ts';
import { blob } from './images.ts';
import { Loaders } from './loaders.ts';
import { Origin, type Pace } from './origin-process.ts';
import { distribution, dockerRegistry } from './servers/distribution.ts';
import { layover, type Settings, startLayover } from './servers/layover.ts';
import { nginxCache, nginxFiles } from './servers/nginx.ts';
import type { Bed, Kind, Server } from './servers/server.ts';
import { killBelow } from './usage.ts';
import { addWarmContent, type WarmContent } from './warm-content.ts';

const ABSENT =
  "zot and its zb are left out: Go's module proxy answers 403 Forbidden for zotregistry.dev/zot/v2@v2.1.22";
const kinds: readonly Kind[] = [layover, nginxFiles, nginxCache, dockerRegistry, distribution];

/** Everything a run needs: an upstream, the servers in front of it with the same content, and processes that ask. */
export class Field implements AsyncDisposable {
  /** What runs here. */
  readonly kinds: readonly Kind[];
  /** One of each, for as long as the run takes. */
  readonly servers: readonly Server[];
  readonly content: WarmContent;
  readonly loaders = new Loaders();
  readonly otherLoaders = new Loaders(1);
  readonly #bed: Omit<Bed, 'dir'>;
  readonly #dir: string;
  #warm: Promise<void> | undefined;

  private constructor(
    dir: string,
    bed: Omit<Bed, 'dir'>,
    kinds: readonly Kind[],
    servers: readonly Server[],
    content: WarmContent,
  ) {
    this.#dir = dir;
    this.#bed = bed;
    this.kinds = kinds;
    this.servers = servers;
    this.content = content;
  }

  static async open(isQuick: boolean): Promise<Field> {
    const dir = await mkdtemp(join(tmpdir(), 'layover-bench-'));
    process.once('exit', () => {
      killBelow(process.pid);
      rmSync(dir, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
    });
    const { ca, issue } = createAuthority();
    const certificate = issue([HOST, 'localhost', '127.0.0.1']);
    const caFile = join(dir, 'ca.pem');
    await writeFile(caFile, ca);
    const bed = { ca, caFile, certificate, origin: await Origin.start(certificate, ca) };
    const content = await addWarmContent(bed.origin, join(dir, folder(nginxFiles.name), 'files'));
    if (!isQuick) console.log(ABSENT);
    const present = await presentKinds(isQuick);
    const servers: Server[] = [];
    for (const kind of present) servers.push(await kind.start({ ...bed, dir: join(dir, folder(kind.name)) }));
    return new Field(dir, bed, present, servers, content);
  }

  get origin(): Origin {
    return this.#bed.origin;
  }

  /** The servers that fetch what they do not have. */
  get caches(): Server[] {
    const names = this.kinds.filter(({ fills }) => fills).map(({ name }) => name);
    return this.servers.filter(({ name }) => names.includes(name));
  }

  /** Has every server that fetches fetch what warm workloads ask for, once. */
  warm(): Promise<void> {
    this.#warm ??= this.#warmUp();
    return this.#warm;
  }

  /** A blob that only the upstream has. */
  async freshBlob(
    seed: string,
    size: number,
    pace: Pace = {},
  ): Promise<{ readonly request: Request; readonly digest: string }> {
    const { digest } = await this.origin.add({ bytes: { seed, size }, pace });
    return { request: blob(digest), digest };
  }

  /** What another server is started with: a directory of its own, and another upstream when it is to be spoiled. */
  async bed(name: string, origin: Origin = this.origin): Promise<Bed> {
    const dir = join(this.#dir, folder(name));
    await mkdir(dir, { recursive: true });
    return { ...this.#bed, dir, origin };
  }

  anotherOrigin(): Promise<Origin> {
    return Origin.start(this.#bed.certificate, this.#bed.ca);
  }

  /** Another Layover, with nothing in its store and further keys in its configuration. */
  async anotherLayover(name: string, settings: Settings = {}): Promise<Server> {
    return startLayover(await this.bed(name), settings);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.loaders[Symbol.dispose]();
    this.otherLoaders[Symbol.dispose]();
    for (const server of this.servers) await server[Symbol.asyncDispose]();
    this.origin[Symbol.dispose]();
  }

  async #warmUp(): Promise<void> {
    const { layers, smallLayers, tinyBlobs, manifest: warm } = this.content;
    for (const { target } of this.caches)
      for (const request of [...layers, ...smallLayers, ...tinyBlobs, warm]) await this.loaders.fetch(target, request);
  }
}

/** Without blanks, which configurations would have to quote. */
function folder(name: string): string {
  return name.replaceAll(' ', '-');
}

async function presentKinds(isQuick: boolean): Promise<Kind[]> {
  const present: Kind[] = [];
  for (const kind of kinds.filter((one) => one.isQuick || !isQuick)) {
    const reason = await kind.lacks();
    if (reason === undefined) present.push(kind);
    else console.log(`${kind.name} is left out: ${reason}`);
  }
  return present;
}
