import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client, Store } from './clients/client.ts';
import type { Gateway } from './gateway.ts';
import { blobsFor, verify } from './images.ts';
import { type Machine, workspace } from './machine.ts';
import type { Repository, Upstream } from './upstreams/upstream.ts';

/** One client in front of one upstream, with a gateway of its own. */
export interface Row {
  readonly client: Client;
  readonly machine: Machine;
  readonly upstream: Upstream;
  readonly gateway: Gateway;
}

export interface Step {
  readonly name: string;
  /** Whether the upstream can show it; a step that does not apply is no cell. */
  applies(upstream: Upstream): boolean;
  run(row: Row): Promise<void>;
}

const always = () => true;

/** What clients print when a registry refuses a pull, or cannot say because its upstream is off. */
const refusal =
  /unauthori[sz]ed|no basic auth credentials|denied|forbidden|authentication required|not found|Gateway Time-?out|\b(?:40[134]|504)\b/i;

/** The steps of a row, in order: what the gateway learnt in one is what the next builds on. */
export const steps: readonly Step[] = [
  { name: 'cold', applies: always, run: (row) => fetching(row, 'amd64') },
  { name: 'warm', applies: always, run: (row) => sparing(row, () => pullApp(row, 'amd64')) },
  { name: 'by digest', applies: always, run: (row) => sparing(row, () => pullApp(row, 'amd64', 'digest')) },
  {
    name: 'other platform',
    applies: always,
    async run(row) {
      await fetching(row, 'arm64');
      await sparing(row, () => pullApp(row, 'arm64'));
    },
  },
  {
    name: 'private',
    applies: ({ secret }) => secret !== undefined,
    async run(row) {
      await refused(row);
      await pullSecret(row);
      await sparing(row, () => pullSecret(row));
      await refused(row);
    },
  },
  { name: 'push', applies: always, run: pushing },
  {
    name: 'upstream off',
    applies: always,
    async run(row) {
      await row.upstream[Symbol.asyncDispose]();
      await pullEverything(row);
    },
  },
  {
    name: 'off, restarted',
    applies: always,
    async run(row) {
      await row.gateway.restart();
      await pullEverything(row);
    },
  },
];

async function pullEverything(row: Row): Promise<void> {
  await pullApp(row, 'amd64');
  await pullApp(row, 'arm64', 'digest');
  if (row.upstream.secret === undefined) return;
  if (row.upstream.secret !== row.upstream.app) await pullSecret(row);
  await refused(row);
}

/** An empty store with the account that the repository asks for; like people, it logs in once, not for each pull. */
async function openStore(row: Row, { account }: Repository): Promise<Store> {
  const home = join(workspace, account?.username ?? 'nobody');
  const firstTime = (await mkdir(home, { recursive: true })) !== undefined;
  const store = await row.client.open(row.machine, home);
  if (account === undefined || !firstTime) return store;
  try {
    await store.login(row.upstream.registry, account);
    return store;
  } catch (error) {
    await rm(home, { recursive: true });
    await store[Symbol.asyncDispose]();
    throw error;
  }
}

/** Pulls into a store that is empty before, and compares every digest with the original. */
async function pull(row: Row, repository: Repository, architecture: string, by: 'tag' | 'digest' = 'tag') {
  const { name, image } = repository;
  await using store = await openStore(row, repository);
  const reference = by === 'tag' ? `${name}:${image.tags[0]}` : `${name}@${image.digest}`;
  verify(await store.pull(reference, architecture), image, architecture);
}

function pullApp(row: Row, architecture: string, by?: 'tag' | 'digest'): Promise<void> {
  return pull(row, row.upstream.app, architecture, by);
}

function pullSecret(row: Row): Promise<void> {
  const { secret } = row.upstream;
  if (secret === undefined) throw new Error('the upstream has no private repository');
  return pull(row, secret, 'amd64');
}

/** A pull of the private repository by somebody without an account must fail. */
async function refused(row: Row): Promise<void> {
  const { secret } = row.upstream;
  if (secret === undefined) return;
  const { account: _, ...unguarded } = secret;
  const outcome = await pull(row, unguarded, 'amd64').then(
    () => 'pulled',
    (reason: Error) => reason.message,
  );
  if (outcome === 'pulled') throw new Error('a private image was pulled without login');
  if (!refusal.test(outcome)) throw new Error(`a pull without login failed, but not by a refusal: ${outcome}`);
}

/** A pull of the app that makes the upstream send every blob of the platform, and none of them twice. */
async function fetching(row: Row, architecture: string): Promise<void> {
  await pullApp(row, architecture);
  const blobs = blobsFor(row.upstream.app.image, architecture);
  const sent = await settled(row.upstream);
  for (const { digest, size } of blobs) {
    const bytes = sent.get(digest) ?? 0;
    if (bytes !== size) throw new Error(`the upstream sent ${bytes} bytes of ${digest}, expected ${size}`);
  }
}

/** An action during which the upstream sends no byte of any blob. */
async function sparing(row: Row, action: () => Promise<void>): Promise<void> {
  const before = total(await settled(row.upstream));
  await action();
  const bytes = total(await settled(row.upstream)) - before;
  if (bytes !== 0) throw new Error(`the upstream sent ${bytes} bytes of blobs`);
}

function total(sent: ReadonlyMap<string, number>): number {
  return sent.values().reduce((sum, bytes) => sum + bytes, 0);
}

/** What the upstream has sent; a registry logs a transfer shortly after its end. */
async function settled(upstream: Upstream): Promise<ReadonlyMap<string, number>> {
  for (let before = await upstream.blobBytes(); ; ) {
    await sleep(150);
    const after = await upstream.blobBytes();
    if (total(after) === total(before)) return after;
    before = after;
  }
}

/** Pushes two images in turn under one new tag, each pulled again afterwards: the tag serves the last one. */
async function pushing(row: Row): Promise<void> {
  const repository = row.upstream.secret ?? row.upstream.app;
  const [from, to] = [`${repository.name}:${repository.image.tags[0]}`, `${repository.name}:pushed`];
  for (const architecture of ['amd64', 'arm64']) {
    await using source = await openStore(row, repository);
    const pushed = await source.pull(from, architecture);
    await source.push(from, to, architecture);
    await using target = await openStore(row, repository);
    const pulled = await target.pull(to, architecture);
    if (pulled.config !== pushed.config) throw new Error(`${to} has the config ${pulled.config}`);
    const digest = await row.upstream.digest(repository, 'pushed');
    const { manifests } = pulled;
    if (digest === undefined || !manifests.includes(digest))
      throw new Error(`${to} is ${manifests.join(' ')}, at the upstream ${digest}`);
  }
}
