import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { accountOf, artifactClient, artifactTag, fakeOf, stepsOf, storedIn } from '../artifacts.ts';
import { makeAppImage } from '../images.ts';
import { type Machine, workspace } from '../machine.ts';
import type { Row, Step } from '../steps.ts';
import type { Upstream } from '../upstreams/upstream.ts';
import type { Account, Client } from './client.ts';

/** cosign with a home of its own, where it has logged in if there is an account, and keys that all homes share. */
class Cosign {
  readonly #machine: Machine;
  readonly #home: string;

  private constructor(machine: Machine, home: string) {
    this.#machine = machine;
    this.#home = home;
  }

  static async open({ machine, upstream }: Row, account?: Account): Promise<Cosign> {
    const home = join(workspace, `cosign-${account?.username ?? 'nobody'}`);
    const firstTime = (await mkdir(home, { recursive: true })) !== undefined;
    const cosign = new Cosign(machine, home);
    if (account !== undefined && firstTime) {
      const options = ['--username', account.username, '--password-stdin'];
      for (const host of new Set([upstream.registry, hostOf(upstream)])) {
        await cosign.run(['login', host, ...options], account.password);
      }
    }
    return cosign;
  }

  run(args: readonly string[], input = ''): Promise<Buffer> {
    const env = { HOME: this.#home, DOCKER_CONFIG: this.#home, COSIGN_PASSWORD: '' };
    return this.#machine.run(['cosign', ...args], { input, env });
  }
}

/** Where signatures go: also where no gateway stands in between, Docker Hub's registry is found by this name alone. */
function hostOf({ registry }: Upstream): string {
  return registry === 'docker.io' ? 'registry-1.docker.io' : registry;
}

/** The prefix of a pair of keys, made when they are first asked for. */
async function keys(cosign: Cosign, name: string): Promise<string> {
  const folder = join(workspace, 'keys');
  const prefix = join(folder, name);
  if ((await mkdir(prefix, { recursive: true })) !== undefined) {
    await cosign.run(['generate-key-pair', '--output-key-prefix', join(prefix, 'key')]);
  }
  return join(prefix, 'key');
}

/** An image at the registry, signed by cosign with a key of its own and no transparency log. */
async function publish(
  format: readonly string[],
  row: Row,
  repository: string,
  account: Account,
): Promise<readonly string[]> {
  const image = makeAppImage(repository, [artifactTag]);
  fakeOf(row).add(repository, image);
  await row.machine.trust(row.upstream.ca);
  const cosign = await Cosign.open(row, account);
  const key = await keys(cosign, 'signer');
  const offline = ['--use-signing-config=false', '--tlog-upload=false', '--yes', ...format];
  const reference = `${hostOf(row.upstream)}/${repository}@${image.digest}`;
  await cosign.run(['sign', '--key', `${key}.key`, ...offline, reference]);
  return [...storedIn(fakeOf(row), repository).blobs.keys()].filter((digest) => !image.blobs.has(digest));
}

/** Verifies the signature, and sees that no other key would do. */
async function fetch(row: Row, repository: string, by: 'tag' | 'digest', account?: Account): Promise<void> {
  const cosign = await Cosign.open(row, account);
  const digest = storedIn(fakeOf(row), repository).tags.get(artifactTag);
  const name = `${row.door.prefix}${row.upstream.registry}/${repository}`;
  const reference = by === 'tag' ? `${name}:${artifactTag}` : `${name}@${digest}`;
  const options = ['--insecure-ignore-tlog=true', ...plain(row)];
  const verify = async (key: string) => {
    const output = await cosign.run(['verify', '--key', `${await keys(cosign, key)}.pub`, ...options, reference]);
    if (!output.includes(`${digest}`)) throw new Error(`another image was verified: ${output}`);
  };
  await verify('signer');
  const wrong = await verify('stranger').catch((error: Error) => error);
  if (wrong === undefined) throw new Error('a key that has signed nothing verifies');
}

function plain({ door }: Row): readonly string[] {
  return door.name === 'path' ? ['--allow-http-registry'] : [];
}

/** Lists what belongs to a signed image, and downloads the signature. */
async function discover(format: readonly string[], row: Row): Promise<void> {
  const repository = 'library/signed';
  const account = accountOf(row);
  await publish(format, row, repository, account);
  const { manifests, tags } = storedIn(fakeOf(row), repository);
  const digest = tags.get(artifactTag);
  const referrers = [...manifests.values()].filter(({ bytes }) => 'subject' in JSON.parse(bytes.toString()));
  const signature = referrers[0]?.digest ?? [...tags.keys()].find((tag) => tag.endsWith('.sig'));
  if (signature === undefined) throw new Error('the registry has no signature');
  const reference = `${row.door.prefix}${row.upstream.registry}/${repository}@${digest}`;
  const cosign = await Cosign.open(row);
  const tree = await cosign.run(['tree', ...plain(row), reference]);
  if (!tree.includes(signature)) throw new Error(`${signature} is missing in ${tree}`);
  // it reads the list by plain HTTP, but asks for the bundle by HTTPS alone
  if (row.door.name === 'path' && format.length === 0) return;
  const downloaded = await cosign.run(['download', 'signature', ...plain(row), reference]);
  if (!downloaded.includes('ignature')) throw new Error(`no signature: ${downloaded}`);
}

function cosignStepsFor(format: readonly string[]): readonly Step[] {
  const fetched = stepsOf({ publish: (...args) => publish(format, ...args), fetch });
  const step: Step = { name: 'referrers', run: (row) => discover(format, row) };
  return fetched.toSpliced(fetched.findIndex(({ name }) => name === 'push') + 1, 0, step);
}

const version = ['dpkg-query', '--show', 'cosign'];

/** Signatures as referrers of the image, the format of cosign 3. */
export const cosign: Client = artifactClient(version);
export const cosignSteps = cosignStepsFor([]);

/** Signatures under a tag made of the image's digest, the format of cosign 1 and 2. */
export const cosignTags: Client = artifactClient(version);
export const cosignTagsSteps = cosignStepsFor(['--new-bundle-format=false']);
