import test from 'ava';
import { Client } from '../support/client.ts';
import { blobsOf, makeImage } from '../support/image.ts';
import { Fleet, until } from './fleet.ts';

interface Told {
  readonly processes: number;
  readonly answers: { readonly requests: number };
  readonly fetches: { readonly running: number; readonly named: readonly { readonly repository: string }[] };
}

/** What the process says that takes a connection of its own. */
async function told(fleet: Fleet): Promise<Told> {
  using client = new Client();
  return JSON.parse((await client.request(`${fleet.own}/status.json`)).body.toString()) as Told;
}

test('whichever of several processes is asked, the status page tells of all', async (t) => {
  const fleet = await Fleet.start(t, 2);
  await fleet.ready(2);
  const image = makeImage({ seed: 'status', layers: [300_000] });
  fleet.upstream.add('library/nginx', image);
  const [, layer = ''] = blobsOf(image);
  const stalled = fleet.upstream.fault({ kind: 'blob', reference: layer }, { stallAfter: 100_000 });
  using client = new Client();
  const pull = (rest: string) => client.request(`${fleet.own}/v2/docker.io/library/nginx/${rest}`);
  t.is((await pull('manifests/latest')).status, 200);
  const coming = pull(`blobs/${layer}`);
  const isTold = ({ processes, answers, fetches }: Told): boolean =>
    processes === 2 &&
    answers.requests === 1 &&
    fetches.running === 1 &&
    fetches.named[0]?.repository === 'docker.io/library/nginx';
  // Enough connections for both to have answered some.
  for (let index = 0; index < 12; index += 1) await until(async () => isTold(await told(fleet)));
  stalled.remove();
  t.is((await coming).status, 200);
  await until(async () => (await told(fleet)).fetches.running === 0);
});
