import { rm } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { Containerd } from '../test/clients/clients/containerd.ts';
import { Machine } from '../test/clients/machine.ts';
import { HOST } from './connection.ts';

/** One image that a client is to pull, from `port` of this machine. */
export interface Pull {
  readonly client: 'containerd' | 'skopeo';
  readonly port: number;
  readonly tag: string;
}

/**
 * Pulls by real clients of a Debian release, in mounts of its own: prints the seconds of each pull, a line each. The
 * store of the client is empty before every one of them.
 */
const { values } = parseArgs({
  options: { folder: { type: 'string', default: '/' }, trust: { type: 'string' }, pulls: { type: 'string' } },
});
const pulls = JSON.parse(values.pulls ?? '[]') as Pull[];

const machine = await Machine.mount(values.folder);
await machine.trust(values.trust ?? '');
await machine.resolve(new Map([[HOST, '127.0.0.1']]));
await using containerd = await Containerd.start(machine, 'default');
for (const { client, port, tag } of pulls) {
  const reference = `${HOST}:${port}/library/bench:${tag}`;
  const seconds = client === 'containerd' ? await byContainerd(reference) : await bySkopeo(reference);
  console.log(seconds);
}

/** Unpacked as well, as for a container that is to start. */
async function byContainerd(reference: string): Promise<number> {
  const started = performance.now();
  await containerd.ctr(['images', 'pull', '--platform', 'linux/amd64', reference]);
  const ended = performance.now();
  await containerd.ctr(['images', 'remove', '--sync', reference]);
  return (ended - started) / 1000;
}

async function bySkopeo(reference: string): Promise<number> {
  const folder = await machine.folder('skopeo');
  const started = performance.now();
  await machine.run(['skopeo', 'copy', '--quiet', `docker://${reference}`, `dir:${folder}/image`]);
  const ended = performance.now();
  await rm(folder, { recursive: true });
  return (ended - started) / 1000;
}
