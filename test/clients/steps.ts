import type { Client } from './clients/client.ts';
import type { Door } from './doors.ts';
import { corruptFill, killedInMidPull } from './faults.ts';
import type { Gateway } from './gateway.ts';
import type { Machine } from './machine.ts';
import { fetching, pull, pullApp, pullSecret, pushing, refused, sparing } from './pulls.ts';
import { unconfigured } from './upstreams/fake-registry.ts';
import type { Upstream } from './upstreams/upstream.ts';

/** One client that is led through one door to one upstream, with a gateway of its own. */
export interface Row {
  readonly client: Client;
  readonly door: Door;
  readonly machine: Machine;
  readonly upstream: Upstream;
  readonly gateway: Gateway;
}

/** A column of the table. */
export interface Step {
  readonly name: string;
  /** Why the door or the upstream cannot do it, whatever the client; what only the client lacks, the client says. */
  cannot?(row: Row): string | undefined;
  run(row: Row): Promise<void>;
}

const byPath = 'the gateway takes no logins and no pushes for registries under its own name';

/** The steps of a row, in order: what the gateway learnt in one is what the next builds on. */
export const steps: readonly Step[] = [
  { name: 'cold', run: (row) => fetching(row, 'amd64') },
  { name: 'warm', run: (row) => sparing(row, () => pullApp(row, 'amd64')) },
  { name: 'by digest', run: (row) => sparing(row, () => pullApp(row, 'amd64', 'digest')) },
  {
    name: 'other platform',
    async run(row) {
      await fetching(row, 'arm64');
      await sparing(row, () => pullApp(row, 'arm64'));
    },
  },
  {
    name: 'private',
    cannot({ door, upstream }) {
      if (door.kind === 'path') return byPath;
      return upstream.secret === undefined ? 'this registry knows no accounts' : undefined;
    },
    async run(row) {
      await refused(row);
      await pullSecret(row);
      // a mirror leaves private images to the registry
      if (row.door.kind === 'transparent') await sparing(row, () => pullSecret(row));
      await refused(row);
      await silent(row);
    },
  },
  { name: 'push', cannot: ({ door }) => (door.kind === 'path' ? byPath : undefined), run: pushing },
  {
    name: 'unknown registry',
    cannot: ({ door }) =>
      door.name === '_default' ? undefined : 'only a default for all registries meets unknown ones',
    async run(row) {
      const name = row.upstream.app.name.replace(row.upstream.registry, unconfigured);
      await pull(row, { ...row.upstream.app, name }, 'amd64');
    },
  },
  { name: 'killed in mid-pull', cannot: imitationsOnly, run: killedInMidPull },
  { name: 'corrupt fill', cannot: imitationsOnly, run: corruptFill },
  {
    name: 'upstream off',
    async run(row) {
      await row.upstream[Symbol.asyncDispose]();
      await pullEverything(row);
    },
  },
  {
    name: 'off, restarted',
    async run(row) {
      await row.gateway.restart();
      await pullEverything(row);
    },
  },
];

function imitationsOnly({ upstream }: Row): string | undefined {
  return upstream.registry === 'docker.io' ? undefined : 'shown in front of Docker Hub';
}

async function pullEverything(row: Row): Promise<void> {
  await pullApp(row, 'amd64');
  if (row.client.cannot?.['other platform'] === undefined) await pullApp(row, 'arm64', 'digest');
  const { app, secret } = row.upstream;
  if (secret === undefined) return;
  if (secret !== app && row.door.kind === 'transparent') await pullSecret(row);
  await refused(row);
}

/** The account that was used stands in nothing that the gateway has logged. */
export async function silent({ gateway, upstream }: Row): Promise<void> {
  const { username, password } = upstream.secret?.account ?? { username: '', password: '' };
  const logs = await gateway.logs();
  const written = [password, btoa(`${username}:${password}`)].filter((text) => logs.includes(text));
  if (written.length > 0) throw new Error('the gateway has logged a login');
}
