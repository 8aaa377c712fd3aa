import { createHash } from 'node:crypto';
import { ANY_MARK, putBlock, takeBlock } from './block.ts';
import type { Clash, Edit } from './edit.ts';
import { putEntry, takeEntry } from './entry.ts';
import { type Entry, type Journal, partOf } from './journal.ts';
import type { Client } from './recipe.ts';
import { Unsuitable } from './unsuitable.ts';
import { proveYaml } from './yaml-proof.ts';

/** What a plan is made from. Texts are one character a byte. */
export interface Scene {
  readonly client: Client;
  readonly journal: Journal;
  /** Of other clients on this machine. */
  readonly others: readonly Journal[];
  /** What stands in a file now; undefined: there is none. */
  readonly read: (path: string) => string | undefined;
  /** The copy that was kept of it. */
  readonly copy: (path: string) => string | undefined;
  /** Reads YAML; throws when it is none. */
  readonly yaml: (text: string) => unknown;
}

/** What becomes of one file. */
export interface Change {
  readonly path: string;
  readonly from: string | undefined;
  readonly to: string | undefined;
  /** It is the kept copy, and gets back its mode and times too. */
  readonly restored: boolean;
}

export interface Plan {
  readonly changes: readonly Change[];
  /** What will have been done. */
  readonly entries: readonly Entry[];
  /** What stood in changed files without us, where no copy of it lies there yet. */
  readonly copies: ReadonlyMap<string, string>;
  /** What was found that a person has to know. */
  readonly remarks: readonly string[];
}

/** What would stand in a file without us. */
interface Base {
  readonly text: string | undefined;
  /** It is the kept copy. */
  readonly kept: boolean;
  readonly remark?: string;
}

/**
 * What has to be changed so that exactly these edits are done; without any, so that nothing of ours is left. Throws
 * {@link Unsuitable} with every reason at once, and then nothing may be changed.
 */
export function planOf(edits: readonly Edit[], scene: Scene): Plan {
  const wanted = new Map(edits.map((edit) => [edit.path, edit]));
  const paths = new Set([...scene.journal.entries.map(({ path }) => path), ...wanted.keys()]);
  const reasons: string[] = [];
  const steps = [...paths].flatMap((path) => {
    try {
      return [stepOf(path, wanted.get(path), scene)];
    } catch (error) {
      if (!(error instanceof Unsuitable)) throw error;
      reasons.push(error.message);
      return [];
    }
  });
  if (reasons.length > 0) throw new Unsuitable(reasons.join('\n'));
  return {
    changes: steps.flatMap(({ change }) => (change.from === change.to ? [] : [change])),
    entries: steps.flatMap(({ entry }) => entry ?? []),
    copies: new Map(steps.flatMap(({ copy, change }) => (copy === undefined ? [] : [[change.path, copy] as const]))),
    remarks: steps.flatMap(({ remark }) => remark ?? []),
  };
}

interface Step {
  readonly change: Change;
  readonly entry?: Entry;
  readonly copy?: string;
  readonly remark?: string | undefined;
}

function stepOf(path: string, edit: Edit | undefined, scene: Scene): Step {
  const from = scene.read(path);
  const done = scene.journal.entries.find((entry) => entry.path === path);
  const isShared =
    from !== undefined && scene.others.some(({ entries }) => entries.some((other) => wholeFile(other, path, from)));
  const base =
    isShared && done?.part.kind !== 'block' ? { text: undefined, kept: false } : withoutUs(done, from, scene);
  const { remark } = base;
  if (edit === undefined) {
    const to = isShared ? from : base.text;
    return { change: { path, from, to, restored: base.kept }, remark };
  }
  const to = applied(edit, base.text, scene, done !== undefined);
  const change = { path, from, to, restored: false };
  if (to === base.text) return { change, remark };
  const before = base.text === undefined ? undefined : digest(base.text);
  const entry = { path, part: partOf(edit), before, after: [digest(to)] };
  return { change, entry, remark, ...(base.text !== undefined && !base.kept && { copy: base.text }) };
}

function wholeFile({ path, part, after }: Entry, wanted: string, text: string): boolean {
  return path === wanted && part.kind === 'file' && after.includes(digest(text));
}

function withoutUs(done: Entry | undefined, from: string | undefined, { client, copy }: Scene): Base {
  if (done === undefined || from === undefined) return { text: from, kept: false };
  const now = digest(from);
  if (now === done.before) return { text: from, kept: false };
  if (done.after.includes(now)) {
    if (done.before === undefined) return { text: undefined, kept: false };
    const text = copy(done.path);
    if (text !== undefined && digest(text) === done.before) return { text, kept: true };
  }
  return takenOut(done, from, client);
}

/** Somebody changed the file since: only our part may go. */
function takenOut({ path, part, before }: Entry, from: string, client: Client): Base {
  if (part.kind === 'file')
    return { text: from, kept: false, remark: `${path} was changed since by somebody else, and stays as it is` };
  const text = part.kind === 'block' ? takeBlock(from, client) : takeEntry(from, part.key, part.value);
  if (text === undefined) {
    const what = part.kind === 'block' ? 'our marks were' : `${part.value} in ${part.key} was`;
    return {
      text: from,
      kept: false,
      remark: `${path} was changed since: ${what} not found, so nothing is taken out`,
    };
  }
  const isEmpty = before === undefined && /^\s*(\{\s*\})?\s*$/.test(text);
  return { text: isEmpty ? undefined : text, kept: false };
}

function applied(edit: Edit, base: string | undefined, scene: Scene, isDone: boolean): string {
  switch (edit.kind) {
    case 'file': {
      const { path, content, beside } = edit;
      if (beside) refuseClashes(beside.path, scene.read(beside.path) ?? '', beside.clashes);
      if (base === undefined || base === content) return content;
      const whose = isDone ? 'was changed since by somebody else' : 'is there already, and not by us';
      throw new Unsuitable(
        `${path} ${whose}: move it away, or write into it yourself:\n${content.replace(/^(?=.)/gm, '  ')}`,
      );
    }
    case 'block': {
      refuseClashes(edit.path, base ?? '', edit.clashes);
      const text = putBlock(base ?? '', scene.client, edit.content, edit.below);
      if (edit.below !== undefined) proveYaml(edit.path, base ?? '', text, edit.below, scene.yaml);
      return text;
    }
    case 'entry':
      return putEntry(edit.path, base ?? '', edit.key, edit.value);
  }
}

function refuseClashes(path: string, text: string, clashes: readonly Clash[]): void {
  const lines = text.split('\n').map(withoutMarked());
  const reasons = clashes.flatMap(({ pattern, below, advice }) => {
    let heading: string | undefined;
    const line = lines.findIndex((candidate) => {
      heading = /^[^\s#][^:]*/.exec(candidate)?.[0] ?? heading;
      return (below === undefined || heading === below) && new RegExp(pattern, 'i').test(candidate);
    });
    return line < 0 ? [] : [`${path}:${line + 1}: ${advice}`];
  });
  if (reasons.length > 0) throw new Unsuitable(reasons.join('\n'));
}

/** Empties the lines that were put in for another client: they say the same. */
function withoutMarked(): (line: string) => string {
  let isMarked = false;
  return (line) => {
    const mark = ANY_MARK.exec(line)?.[1];
    isMarked = mark === 'begin' || (isMarked && mark !== 'end');
    return isMarked ? '' : line;
  };
}

/** SHA-256 in hexadecimal of a text of one character a byte. */
export function digest(text: string): string {
  return createHash('sha256').update(text, 'latin1').digest('hex');
}
