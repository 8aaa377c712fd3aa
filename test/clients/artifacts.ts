import type { Repository } from '../support/upstream/repositories.ts';
import type { FakeUpstream } from '../support/upstream/upstream.ts';
import type { Account, Client } from './clients/client.ts';
import { until } from './faults.ts';
import { refusal, sparing } from './pulls.ts';
import { type Row, type Step, silent } from './steps.ts';

/** What is no image: how its client brings it into a repository, and how it fetches and checks it. */
export interface Artifact {
  /**
   * Puts one under the tag `1.0.0` into the repository, such as `library/chart`, by an account, and resolves with the
   * digests of its blobs.
   */
  publish(row: Row, repository: string, account: Account): Promise<readonly string[]>;
  /** Fetches it and throws unless it is what was published. */
  fetch(row: Row, repository: string, by: 'tag' | 'digest', account?: Account): Promise<void>;
}

export const artifactTag = '1.0.0';
const noDefault = 'only a default for all registries meets unknown ones';
const nowhere = 'it is no image: there is one for all platforms';

/** The steps of every client, for a client that fetches something else than images. */
export function stepsOf({ publish, fetch }: Artifact): readonly Step[] {
  const [first, secret] = ['library/artifact', 'team/artifact'] as const;
  const publishAt = (row: Row, name: string) => publish(row, name, accountOf(row));
  return [
    {
      name: 'cold',
      async run(row) {
        const blobs = await publishAt(row, first);
        await fetch(row, first, 'tag');
        await sentOnce(row, first, blobs);
      },
    },
    { name: 'warm', run: (row) => sparing(row, () => fetch(row, first, 'tag')) },
    { name: 'by digest', run: (row) => sparing(row, () => fetch(row, first, 'digest')) },
    { name: 'other platform', cannot: () => nowhere, run: async () => {} },
    {
      name: 'private',
      cannot: ({ door }) => (door.kind === 'path' ? 'the gateway takes no logins under its own name' : undefined),
      async run(row) {
        const account = accountOf(row);
        fakeOf(row).repositories.open(secret, [account.username]);
        await publishAt(row, secret);
        await refused(() => fetch(row, secret, 'tag'));
        await fetch(row, secret, 'tag', account);
        await sparing(row, () => fetch(row, secret, 'tag', account));
        await refused(() => fetch(row, secret, 'tag'));
        await silent(row);
      },
    },
    {
      name: 'push',
      cannot: ({ door }) => (door.kind === 'path' ? 'the gateway takes no pushes under its own name' : undefined),
      async run(row) {
        await publishAt(row, 'library/pushed');
        await fetch(row, 'library/pushed', 'tag');
      },
    },
    { name: 'unknown registry', cannot: () => noDefault, run: async () => {} },
    {
      name: 'killed in mid-pull',
      async run(row) {
        const [fake, name] = [fakeOf(row), 'library/killed'];
        const [reference, size] = largestOf(row, name, await publishAt(row, name));
        const stalled = fake.fault({ kind: 'blob', reference }, { stallAfter: Math.floor(size / 2) });
        const fetching = fetch(row, name, 'tag').catch((error: Error) => error);
        await until(() => fake.bytes({ kind: 'blob', method: 'GET', reference }) > 0);
        await row.gateway.kill();
        stalled.remove();
        await row.gateway.revive();
        if ((await fetching) instanceof Error) await fetch(row, name, 'tag');
      },
    },
    {
      name: 'corrupt fill',
      async run(row) {
        const [fake, name] = [fakeOf(row), 'library/corrupt'];
        const [reference, size] = largestOf(row, name, await publishAt(row, name));
        const fault = fake.fault({ kind: 'blob', reference, times: 1 }, { corruptAt: Math.floor(size / 2) });
        await fetch(row, name, 'tag').catch(() => fetch(row, name, 'tag'));
        if (fault.hits !== 1) throw new Error('no wrong byte was sent');
      },
    },
    {
      name: 'upstream off',
      async run(row) {
        await row.upstream[Symbol.asyncDispose]();
        await fetch(row, first, 'tag');
      },
    },
    {
      name: 'off, restarted',
      async run(row) {
        await row.gateway.restart();
        await fetch(row, first, 'tag');
        await fetch(row, first, 'digest');
      },
    },
  ];
}

/** A client that pulls no images: its steps are its own. */
export function artifactClient(version: readonly string[], cannot: Readonly<Record<string, string>> = {}): Client {
  return { version, cannot, open: () => Promise.reject(new Error('it pulls no images')) };
}

export function fakeOf({ upstream }: Row): FakeUpstream {
  if (upstream.fake === undefined) throw new Error('a real registry runs here');
  return upstream.fake;
}

/** A repository as the registry holds it. */
export function storedIn(fake: FakeUpstream, name: string): Repository {
  const repository = fake.repositories.get(name);
  if (repository === undefined) throw new Error(`nothing was pushed to ${name}`);
  return repository;
}

export function accountOf({ upstream }: Row): Account {
  if (upstream.secret?.account === undefined) throw new Error('this registry knows no accounts');
  return upstream.secret.account;
}

/** The blob that takes longest, and its size. */
function largestOf(row: Row, name: string, blobs: readonly string[]): readonly [string, number] {
  const stored = storedIn(fakeOf(row), name).blobs;
  const sizes = blobs.map((digest) => [digest, stored.get(digest)?.size ?? 0] as const);
  return sizes.toSorted(([, one], [, other]) => other - one)[0] ?? ['', 0];
}

/** Throws unless some of the blobs were sent, and none of them twice. */
async function sentOnce(row: Row, name: string, blobs: readonly string[]): Promise<void> {
  const sent = await row.upstream.blobBytes();
  const stored = storedIn(fakeOf(row), name).blobs;
  for (const digest of blobs) {
    const [bytes, size] = [sent.get(digest) ?? 0, stored.get(digest)?.size];
    if (bytes !== 0 && bytes !== size) throw new Error(`the registry sent ${bytes} bytes of ${digest}, not ${size}`);
  }
  if (!blobs.some((digest) => sent.has(digest))) throw new Error('the registry sent no blob');
}

async function refused(fetch: () => Promise<void>): Promise<void> {
  const outcome = await fetch().then(
    () => 'fetched',
    (reason: Error) => reason.message,
  );
  if (outcome === 'fetched') throw new Error('a private artifact was fetched without login');
  if (!refusal.test(outcome)) throw new Error(`failed without login, but not by a refusal: ${outcome}`);
}
