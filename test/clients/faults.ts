import { setTimeout as sleep } from 'node:timers/promises';
import type { FakeUpstream } from '../support/upstream/upstream.ts';
import { blobsFor, makeAppImage, verify } from './images.ts';
import { openStore, referenceOf } from './pulls.ts';
import type { Row } from './steps.ts';
import type { Repository } from './upstreams/upstream.ts';

const architecture = 'amd64';
/** Where a transfer of a layer of 6 MiB is held up, or one of its bytes is wrong. */
const middle = 3 * 2 ** 20;

/**
 * Kills the gateway while it passes on the middle of a layer and starts it again: the pull that is running, or the same
 * command given once more, ends with the right image.
 */
export async function killedInMidPull(row: Row): Promise<void> {
  const [fake, repository, layer] = addRepository(row, 'library/killed');
  const stalled = fake.fault({ kind: 'blob', reference: layer }, { stallAfter: middle });
  await using store = await openStore(row, repository);
  const pulling = store.pull(referenceOf(row, repository), architecture).catch((error: Error) => error);
  await until(() => fake.bytes({ kind: 'blob', reference: layer }) >= middle);
  await row.gateway.kill();
  stalled.remove();
  await row.gateway.revive();
  const first = await pulling;
  const pulled = first instanceof Error ? await store.pull(referenceOf(row, repository), architecture) : first;
  verify(pulled, repository.image, architecture);
}

/**
 * One byte of a layer is wrong on its way to the gateway: the pull, or the same command given once more, ends with the
 * right image. A client of which it is known that it keeps wrong bytes gets some seconds, or throws them away.
 */
export async function corruptFill(row: Row): Promise<void> {
  const [fake, repository, layer] = addRepository(row, 'library/corrupt');
  const fault = fake.fault({ kind: 'blob', reference: layer, times: 1 }, { corruptAt: middle });
  await using store = await openStore(row, repository);
  const pull = () => store.pull(referenceOf(row, repository), architecture);
  const afresh = async (reason: unknown) => {
    if (row.client.remarks?.['corrupt fill'] === undefined) throw reason;
    await (store.discard?.() ?? sleep(1000));
    return pull();
  };
  const pulled = await pull().catch(pull).catch(afresh).catch(afresh).catch(afresh);
  if (fault.hits !== 1) throw new Error('no wrong byte was sent');
  verify(pulled, repository.image, architecture);
}

/** A repository of its own at the upstream, and the digest of the large layer of its image. */
function addRepository({ upstream }: Row, name: string): [FakeUpstream, Repository, string] {
  const { fake, registry } = upstream;
  if (fake === undefined) throw new Error('a real registry runs here');
  const image = makeAppImage(name, ['1']);
  fake.add(name, image);
  const [largest] = blobsFor(image, architecture).toSorted((one, other) => other.size - one.size);
  return [fake, { name: `${registry}/${name}`, image }, largest?.digest ?? ''];
}

export async function until(condition: () => boolean): Promise<void> {
  const deadline = performance.now() + 30_000;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error('nothing was transferred');
    await sleep(20);
  }
}
