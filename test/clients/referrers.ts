import { digestOf, toBytes } from '../support/content.ts';
import { type Image, makeArtifact } from '../support/image.ts';
import { fakeOf } from './artifacts.ts';
import { makeAppImage } from './images.ts';
import { openStore, referenceOf } from './pulls.ts';
import { type Row, type Step, steps } from './steps.ts';
import type { Repository } from './upstreams/upstream.ts';

/** How a client lists what refers to an image, and reads what it has found. */
export interface Discovery {
  /** Digests of the manifests whose subject the reference is. */
  list(row: Row, reference: string): Promise<readonly string[]>;
  /** The only layer of an artifact; `layer` is its digest. */
  read(row: Row, repository: string, artifact: string, layer: string): Promise<Buffer>;
}

const repository = 'library/signed';

/** The steps of every client, and one for a client that knows artifacts. */
export function stepsWithReferrers(discovery: Discovery): readonly Step[] {
  const step: Step = { name: 'referrers', cannot, run: (row) => discovering(row, discovery) };
  const all = steps.map((one) => (one.name === 'off, restarted' ? { ...one, run: offline(one, discovery) } : one));
  return all.toSpliced(all.findIndex(({ name }) => name === 'push') + 1, 0, step);
}

/** What was found while the registry was there is found when it is gone. */
function offline(step: Step, discovery: Discovery): Step['run'] {
  return async (row) => {
    await step.run(row);
    if (cannot(row) !== undefined) return;
    const image = makeAppImage(repository, ['1']);
    const found = await discovery.list(row, `${nameIn(row)}@${image.digest}`);
    const missing = artifactsOf(image).filter(({ digest }) => !found.includes(digest));
    if (missing.length > 0) throw new Error(`${missing.length} referrers are missing in ${found}`);
  };
}

/** So that it is cached: who only looks for referrers asks for its head alone. */
async function pullImage(row: Row, image: Image): Promise<void> {
  const pulled: Repository = { name: `${row.upstream.registry}/${repository}`, image };
  await using store = await openStore(row, pulled);
  await store.pull(referenceOf(row, pulled), 'amd64');
}

function artifactsOf(image: Image): readonly Image[] {
  return ['signature', 'inventory'].map((seed) => makeArtifact(image, { seed }));
}

function nameIn({ door, upstream }: Row): string {
  return `${door.prefix}${upstream.registry}/${repository}`;
}

function cannot({ upstream }: Row): string | undefined {
  const has = upstream.registry !== 'ghcr.io' && upstream.fake !== undefined;
  return has ? undefined : 'this registry has no referrers API';
}

/** Finds and reads an artifact, and finds the next one as soon as the registry has it. */
async function discovering(row: Row, discovery: Discovery): Promise<void> {
  const fake = fakeOf(row);
  const image = makeAppImage(repository, ['1']);
  fake.add(repository, image);
  await pullImage(row, image);
  const name = nameIn(row);
  const added: Image[] = [];
  for (const artifact of artifactsOf(image)) {
    fake.add(repository, artifact);
    added.push(artifact);
    const found = await discovery.list(row, `${name}@${image.digest}`);
    const missing = added.filter(({ digest }) => !found.includes(digest));
    if (missing.length > 0) throw new Error(`${missing.length} of ${added.length} referrers are missing in ${found}`);
    await readBack(row, discovery, name, artifact);
  }
}

async function readBack(row: Row, discovery: Discovery, name: string, artifact: Image): Promise<void> {
  const layer = [...artifact.blobs.values()].at(-1);
  if (layer === undefined) throw new Error('an artifact without a layer');
  const bytes = await discovery.read(row, name, artifact.digest, digestOf(layer));
  if (!bytes.equals(toBytes(layer))) throw new Error(`the artifact ${artifact.digest} has other bytes`);
}
