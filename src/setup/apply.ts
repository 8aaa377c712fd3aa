import type { Disk } from './disk.ts';
import type { Edit } from './edit.ts';
import {
  copyName,
  type Entry,
  formatJournal,
  JOURNAL_ROOT,
  type Journal,
  NOTHING_DONE,
  parseJournal,
} from './journal.ts';
import { type Plan, planOf } from './plan.ts';
import { CLIENTS, type Client } from './recipe.ts';

/** The journals of this machine. */
export interface Journals {
  readonly own: Journal | undefined;
  readonly others: readonly Journal[];
}

function readJournals(disk: Pick<Disk, 'read'>, client: Client): Journals {
  const journalOf = (name: Client): Journal | undefined => {
    const path = journalPath(name);
    const text = disk.read(path);
    return text === undefined ? undefined : parseJournal(path, text);
  };
  const others = CLIENTS.filter((name) => name !== client).flatMap((name) => journalOf(name) ?? []);
  return { own: journalOf(client), others };
}

/** A plan for this machine, and what it was made from. */
export interface Prepared {
  readonly client: Client;
  readonly plan: Plan;
  readonly journals: Journals;
}

/** Plans these edits, or without any an undo; `yaml` reads YAML and throws when it is none. */
export function prepare(
  client: Client,
  edits: readonly Edit[],
  disk: Pick<Disk, 'read'>,
  yaml: (text: string) => unknown,
): Prepared {
  const journals = readJournals(disk, client);
  const plan = planOf(edits, {
    client,
    journal: journals.own ?? NOTHING_DONE,
    others: journals.others,
    read: (path) => disk.read(path),
    copy: (path) => disk.read(copyPath(client, path)),
    yaml,
  });
  return { client, plan, journals };
}

/** Whether nothing is left to do, be it only to note that a file is ours too. */
export function isSettled({ plan, journals: { own = NOTHING_DONE } }: Prepared): boolean {
  const isNoted = JSON.stringify(plan.entries) === JSON.stringify(own.entries);
  return plan.changes.length === 0 && own.finished && isNoted;
}

/**
 * Carries a plan out: first the journal and the copies, then the files, then the commands by `run`, which tells whether all
 * of them succeeded. Interrupted anywhere, the same again or an undo goes on from there. `onStep` is told each change
 * before it is made.
 */
export async function apply(
  { client, plan, journals: { own, others } }: Prepared,
  disk: Disk,
  run: () => Promise<boolean>,
  onStep: (path: string) => void = () => {},
): Promise<boolean> {
  const before = own ?? NOTHING_DONE;
  const directories = directoriesFor(plan, before, others, disk);
  const changing = { finished: false, directories, entries: during(before.entries, plan.entries) };
  begin(plan, client, changing, disk, onStep);
  for (const path of directories.filter((path) => isNeeded(path, plan.entries))) disk.makeDirectory(path);
  for (const { path, to, restored } of plan.changes) {
    onStep(path);
    if (to === undefined) disk.remove(path);
    else disk.write(path, to, restored ? copyPath(client, path) : undefined);
  }
  onStep('commands');
  const finished = await run();
  onStep('end');
  close(client, { finished, directories, entries: finished ? plan.entries : changing.entries }, disk);
  return finished;
}

function begin(plan: Plan, client: Client, journal: Journal, disk: Disk, onStep: (path: string) => void): void {
  onStep('copies');
  for (const path of disk.missing(journalPath(client))) disk.makeDirectory(path);
  for (const { path } of journal.entries) disk.sweep(path);
  if (plan.copies.size > 0) disk.makeDirectory(`${JOURNAL_ROOT}/${client}/before`, 0o700);
  for (const [path, text] of plan.copies) disk.copy(path, copyPath(client, path), text);
  onStep('journal');
  disk.write(journalPath(client), formatJournal(journal));
}

/** While files are changed, each may stand as it did or as it will. */
function during(before: readonly Entry[], after: readonly Entry[]): readonly Entry[] {
  const old = new Map(before.map((entry) => [entry.path, entry]));
  const changed = after.map((entry) => ({
    ...entry,
    after: [...new Set([...(old.get(entry.path)?.after ?? []), ...entry.after])],
  }));
  const leaving = before.filter(({ path }) => !after.some((entry) => entry.path === path));
  return [...changed, ...leaving];
}

/** Those that we make, and those that we made before, be it for another client. */
function directoriesFor(plan: Plan, before: Journal, others: readonly Journal[], disk: Disk): readonly string[] {
  const paths = [...plan.entries.map(({ path }) => path), JOURNAL_ROOT];
  const made = others
    .flatMap(({ directories }) => directories)
    .filter((path) => paths.some((file) => isAbove(path, file)));
  const all = new Set([...before.directories, ...made, ...paths.flatMap((path) => disk.missing(path))]);
  return [...all].sort((a, b) => a.length - b.length);
}

/** Leaves the journal as it is to be, or no trace of it when nothing of ours is left. */
function close(client: Client, { finished, directories, entries }: Journal, disk: Disk): void {
  const isIdle = (path: string): boolean => !isNeeded(path, entries) && !isAbove(path, JOURNAL_ROOT);
  for (const path of directories.filter(isIdle).toReversed()) disk.removeDirectory(path);
  const kept = directories.filter((path) => disk.has(path));
  if (finished && entries.length === 0) forget(client, directories, disk);
  else disk.write(journalPath(client), formatJournal({ finished, directories: kept, entries }));
}

/** Removes what we remember of a client, and these directories where nothing else is in them. */
export function forget(client: Client, directories: readonly string[], disk: Disk): void {
  disk.removeTree(`${JOURNAL_ROOT}/${client}`);
  for (const path of [JOURNAL_ROOT, ...directories.toReversed()]) disk.removeDirectory(path);
}

function isNeeded(directory: string, entries: readonly Entry[]): boolean {
  return entries.some(({ path }) => isAbove(directory, path));
}

function isAbove(directory: string, path: string): boolean {
  return path.startsWith(`${directory}/`);
}

function journalPath(client: Client): string {
  return `${JOURNAL_ROOT}/${client}/journal`;
}

function copyPath(client: Client, path: string): string {
  return `${JOURNAL_ROOT}/${client}/${copyName(path)}`;
}
