import { randomBytes } from 'node:crypto';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { artifactClient, artifactTag, fakeOf, stepsOf, storedIn } from '../artifacts.ts';
import { helmPrograms } from '../go-programs.ts';
import { type Machine, workspace } from '../machine.ts';
import type { Row } from '../steps.ts';
import type { Account, Client } from './client.ts';

const program = helmPrograms.path('helm');

/** helm with a home of its own, where it has logged in if there is an account. */
class Helm {
  readonly #machine: Machine;
  readonly #home: string;

  private constructor(machine: Machine, home: string) {
    this.#machine = machine;
    this.#home = home;
  }

  static async open({ machine, upstream }: Row, account?: Account): Promise<Helm> {
    const home = join(workspace, `helm-${account?.username ?? 'nobody'}`);
    const firstTime = (await mkdir(home, { recursive: true })) !== undefined;
    const helm = new Helm(machine, home);
    if (account !== undefined && firstTime) {
      const options = ['--username', account.username, '--password-stdin'];
      await helm.run(['registry', 'login', upstream.registry, ...options], account.password);
    }
    return helm;
  }

  run(args: readonly string[], input = ''): Promise<Buffer> {
    return this.#machine.run([program, ...args], { input, env: { HOME: this.#home } });
  }
}

/** A chart of half a megabyte, packaged by helm and kept under its repository's name. */
async function publish(row: Row, repository: string, account: Account): Promise<readonly string[]> {
  const name = basename(repository);
  const folder = join(packages(repository), name);
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, 'Chart.yaml'), `apiVersion: v2\nname: ${name}\nversion: ${artifactTag}\n`);
  await writeFile(join(folder, 'filler.txt'), randomBytes(2 ** 18).toString('hex'));
  await row.machine.trust(row.upstream.ca);
  const helm = await Helm.open(row, account);
  await helm.run(['package', folder, '--destination', packages(repository)]);
  await helm.run([
    'push',
    join(packages(repository), `${name}-${artifactTag}.tgz`),
    `oci://${row.upstream.registry}/${dirname(repository)}`,
  ]);
  return [...storedIn(fakeOf(row), repository).blobs.keys()];
}

async function fetch(row: Row, repository: string, by: 'tag' | 'digest', account?: Account): Promise<void> {
  const helm = await Helm.open(row, account);
  const target = await row.machine.folder('helm');
  const reference = `oci://${row.door.prefix}${row.upstream.registry}/${repository}`;
  const options = ['--destination', target, '--content-cache', join(target, 'cache')];
  const plain = row.door.name === 'path' ? ['--plain-http'] : [];
  const digest = storedIn(fakeOf(row), repository).tags.get(artifactTag);
  const wanted = by === 'tag' ? [reference, '--version', artifactTag] : [`${reference}@${digest}`];
  await helm.run(['pull', ...wanted, ...options, ...plain]);
  const [name = ''] = (await readdir(target)).filter((file) => file.endsWith('.tgz'));
  const pulled = await readFile(join(target, name));
  const published = await readFile(join(packages(repository), `${basename(repository)}-${artifactTag}.tgz`));
  if (!pulled.equals(published)) throw new Error('another chart');
}

function packages(repository: string): string {
  return join(workspace, 'charts', repository);
}

export const helm: Client = artifactClient([program, 'version', '--short']);
export const helmSteps = stepsOf({ publish, fetch });
