import { type RunOptions, run } from '../clients/process.ts';

/** What nobody in a container reads, as in slim images. */
const UNREAD = [
  'usr/share/doc',
  'usr/share/man',
  'usr/share/locale',
  'usr/share/info',
  'var/cache',
  'var/lib/apt/lists',
];

/** Where buildah and podman keep images and containers of ours, apart from the machine's. */
export class Storage {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  buildah(args: readonly string[], options?: RunOptions): Promise<string> {
    return this.#run(['buildah', ...this.#own, ...args], options);
  }

  podman(args: readonly string[], options?: RunOptions): Promise<string> {
    return this.#run(['podman', ...this.#own, '--cgroup-manager', 'cgroupfs', ...args], options);
  }

  /** Makes an image of the files in a folder, and of some more below another one. */
  import(folder: string, more: string, files: readonly string[], image: string): Promise<string> {
    const podman = ['podman', ...this.#own, 'import', '--quiet', '-', image].join(' ');
    const left = UNREAD.map((path) => `--exclude='./${path}/*'`).join(' ');
    const tar = `tar --create ${left} -C '${folder}' . -C '${more}' ${files.join(' ')}`;
    return this.#run(['bash', '-o', 'pipefail', '-c', `${tar} | ${podman}`], { timeout: 120_000 });
  }

  get #own(): readonly string[] {
    const folders = ['--root', `${this.#folder}/images`, '--runroot', `${this.#folder}/run`];
    return [...folders, '--storage-driver', 'vfs'];
  }

  async #run(argv: readonly string[], options: RunOptions = {}): Promise<string> {
    const env = { BUILDAH_ISOLATION: 'chroot' };
    return (await run(argv, { ...options, env })).toString().trim();
  }
}
