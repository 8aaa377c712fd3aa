import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Store } from './clients/client.ts';
import { blobsFor, verify } from './images.ts';
import { workspace } from './machine.ts';
import type { Row } from './steps.ts';
import type { Repository, Upstream } from './upstreams/upstream.ts';

/** What clients print when a registry refuses a pull, or cannot say because its upstream is off. */
export const refusal =
  /unauthori[sz]ed|no basic auth credentials|denied|forbidden|the upstream registry cannot be reached|authentication required|not found|Gateway Time-?out|\b(?:40[134]|504)\b/i;
/** What they print when the registry that a mirror stands for is off. */
const unreachable = /connection refused|retry limit exceeded/i;

/** An empty store with the account that the repository asks for; like people, it logs in once, not for each pull. */
export async function openStore(row: Row, { account }: Pick<Repository, 'account'>): Promise<Store> {
  const home = join(workspace, account?.username ?? 'nobody');
  const firstTime = (await mkdir(home, { recursive: true })) !== undefined;
  const store = await row.client.open(row.machine, home, row.door);
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

/** The image as the row's client has to name it. */
export function referenceOf({ door }: Row, { name, image }: Repository, by: 'tag' | 'digest' = 'tag'): string {
  return `${door.prefix}${name}${by === 'tag' ? `:${image.tags[0]}` : `@${image.digest}`}`;
}

/** Pulls into a store that is empty before, and compares every digest with the original. */
export async function pull(row: Row, repository: Repository, architecture: string, by?: 'tag' | 'digest') {
  await using store = await openStore(row, repository);
  const pulled = await store.pull(referenceOf(row, repository, by), architecture);
  verify(pulled, repository.image, architecture);
}

export function pullApp(row: Row, architecture: string, by?: 'tag' | 'digest'): Promise<void> {
  return pull(row, row.upstream.app, architecture, by);
}

export function pullSecret(row: Row): Promise<void> {
  const { secret } = row.upstream;
  if (secret === undefined) throw new Error('the upstream has no private repository');
  return pull(row, secret, 'amd64');
}

/** A pull of the private repository by somebody without an account must fail. */
export async function refused(row: Row): Promise<void> {
  const { secret } = row.upstream;
  if (secret === undefined) return;
  const { account: _, ...unguarded } = secret;
  const outcome = await pull(row, unguarded, 'amd64').then(
    () => 'pulled',
    (reason: Error) => reason.message,
  );
  if (outcome === 'pulled') throw new Error('a private image was pulled without login');
  if (!refusal.test(outcome) && !(row.door.kind === 'mirror' && unreachable.test(outcome)))
    throw new Error(`a pull without login failed, but not by a refusal: ${outcome}`);
}

/**
 * A pull of the app that makes the upstream send every blob of the platform, and none of them twice. What is asked for
 * in ranges may be sent twice: ahead of the fill for the client, and again when the fill gets there.
 */
export async function fetching(row: Row, architecture: string): Promise<void> {
  await pullApp(row, architecture);
  const { inRanges = false } = row.client;
  const blobs = blobsFor(row.upstream.app.image, architecture);
  const sent = await settled(row.upstream);
  for (const { digest, size } of blobs) {
    const bytes = sent.get(digest) ?? 0;
    if (bytes < size || bytes > (inRanges ? 2 * size : size))
      throw new Error(`the upstream sent ${bytes} bytes of ${digest}, expected ${size}`);
  }
  if (inRanges && !(await row.gateway.logs()).includes('"status":206')) throw new Error('no range was asked for');
}

/** An action during which the upstream sends no byte of any blob. */
export async function sparing(row: Row, action: () => Promise<void>): Promise<void> {
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
export async function pushing(row: Row): Promise<void> {
  const repository = row.upstream.secret ?? row.upstream.app;
  const [from, to] = [referenceOf(row, repository), `${row.door.prefix}${repository.name}:pushed`];
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
