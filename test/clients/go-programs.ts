import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { access, mkdir, mkdtemp, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from './process.ts';

const cache = '/var/cache/layover-test';

/** Programs of one Go module that no Debian release has; built once and kept. */
export class GoPrograms {
  readonly #packages: readonly string[];
  readonly #linking: string;
  readonly #sums: string;
  /** Where they lie once they are built. */
  readonly folder: string;

  /**
   * `versionVariable` is what the programs print as their version, which only the linker can tell them. `sums`: lines
   * of go.sum for modules that Go's checksum database does not know.
   */
  constructor(version: string, packages: readonly string[], versionVariable: string, sums = '') {
    this.#sums = sums;
    this.#linking = `-s -w -X ${versionVariable}=${version}`;
    this.#packages = packages.map((path) => `${path}@${version}`);
    const hash = createHash('sha256')
      .update([...this.#packages, this.#linking].join(' '))
      .digest('hex')
      .slice(0, 12);
    this.folder = join(cache, `go-${hash}`);
  }

  path(name: string): string {
    return join(this.folder, name);
  }

  /** Builds them, unless they are there. Takes minutes, the network, and 15 minutes at most for each of two commands. */
  readonly prepare = async (): Promise<void> => {
    if (await exists(this.folder)) return;
    await mkdir(cache, { recursive: true });
    const draft = await mkdtemp(`${this.folder}.`);
    try {
      const module = join(draft, 'module');
      const built = join(draft, 'built');
      await mkdir(module);
      const go = (args: readonly string[]) =>
        run(['go', '-C', module, ...args], { env: environment(), timeout: 900_000 });
      // within a module of our own, because `go install` refuses modules that replace or exclude others
      await go(['mod', 'init', 'clients.test']);
      await writeFile(join(module, 'go.sum'), this.#sums);
      await go(['get', ...this.#packages]);
      const paths = this.#packages.map((name) => name.replace(/@.*/, ''));
      await go(['build', '-trimpath', `-ldflags=${this.#linking}`, '-o', `${built}/`, ...paths]);
      if ((await readdir(built)).length !== paths.length)
        throw new Error(`go has not built all of ${paths.join(', ')}`);
      await rename(built, this.folder);
    } finally {
      await rm(draft, { recursive: true, force: true });
    }
  };
}

/** The caller's own, for it says where modules come from, with Go at its usual place. */
function environment(): Record<string, string> {
  const own = Object.fromEntries(Object.entries(process.env).map(([name, value]) => [name, value ?? '']));
  const path = `${own.PATH}:/usr/local/go/bin`;
  return { ...own, PATH: path, CGO_ENABLED: '0', GOFLAGS: '-mod=mod', GOTOOLCHAIN: 'local', GOWORK: 'off' };
}

function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

export const buildkitPrograms = new GoPrograms(
  'v0.29.0',
  ['github.com/moby/buildkit/cmd/buildctl', 'github.com/moby/buildkit/cmd/buildkitd'],
  'github.com/moby/buildkit/version.Version',
);
export const helmPrograms = new GoPrograms(
  'v4.3.1',
  ['helm.sh/helm/v4/cmd/helm'],
  'helm.sh/helm/v4/internal/version.version',
);
export const regctlPrograms = new GoPrograms(
  'v0.11.7',
  ['github.com/regclient/regclient/cmd/regctl'],
  'github.com/regclient/regclient/internal/version.vcsTag',
);
export const criPrograms = new GoPrograms(
  'v1.34.0',
  ['sigs.k8s.io/cri-tools/cmd/crictl'],
  'sigs.k8s.io/cri-tools/pkg/version.Version',
  readFileSync(join(import.meta.dirname, 'crictl.sum'), 'utf8'),
);
