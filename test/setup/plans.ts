import { readDocument } from '../../src/config/document.ts';
import type { Edit } from '../../src/setup/edit.ts';
import { type Entry, type Journal, NOTHING_DONE } from '../../src/setup/journal.ts';
import { digest, type Plan, planOf, type Scene } from '../../src/setup/plan.ts';
import { type Client, type Mode, recipeOf, type Surroundings } from '../../src/setup/recipe.ts';
import { gateway } from './gateways.ts';

export const debian: Surroundings = {
  trust: '/usr/local/share/ca-certificates',
  dockerStore: 'classic',
  rancher: '/etc/rancher/k3s',
  containerd: { certs: '/etc/containerd/certs.d' },
};

/** The files of a machine, by path. */
export type Files = Readonly<Record<string, string>>;

export function edits(client: Client, mode: Mode = 'auto', found: Surroundings = debian): readonly Edit[] {
  return recipeOf(client, mode, gateway, found).edits;
}

/** What is planned for a client on a machine with these files. */
export function planned(client: Client, wanted: readonly Edit[], files: Files, scene: Partial<Scene> = {}): Plan {
  return planOf(wanted, {
    client,
    journal: NOTHING_DONE,
    others: [],
    read: (path) => files[path],
    copy: () => undefined,
    yaml: (text) => readDocument(text).root.value,
    ...scene,
  });
}

/** The files after a plan. */
export function after({ changes }: Plan, files: Files): Files {
  const result = new Map(Object.entries(files));
  for (const { path, to } of changes) {
    if (to === undefined) result.delete(path);
    else result.set(path, to);
  }
  return Object.fromEntries(result);
}

/** The journal after a plan. */
export function journalOf({ entries }: Plan): Journal {
  return { finished: true, directories: [], entries };
}

/** Copies as they were kept: what stood in the files that an entry says there were. */
export function copiesOf(entries: readonly Entry[], files: Files): Scene['copy'] {
  return (path) => {
    const text = files[path];
    const entry = entries.find((candidate) => candidate.path === path);
    return text !== undefined && entry?.before === digest(text) ? text : undefined;
  };
}
