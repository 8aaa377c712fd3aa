import { randomUUID } from 'node:crypto';
import { constants } from 'node:fs';
import { rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Holding } from './claim.ts';
import { hasCode, linkNew, openFound, removeFile, writeTemporary } from './disk.ts';
import { type Holder, isGone, SELF, toHolder } from './holder.ts';
import { parseObject, toJson } from './json.ts';
import { OpenFile } from './open-file.ts';

const MAX_TRIES = 4;

/** Generous, because nothing guards against a process that is stopped for so long just before its rename. */
const END_STALE_AFTER = 60_000;

/** Where the note stands, behind what tells of the holder: it is written in place again and again. */
const NOTE_AT = 1024;
const NOTE_SIZE = 128;

/** What this process holds, by id: other files that name it are what it could not remove. */
const HELD = new Set<string>();

/** A claim file as somebody else finds it. */
interface Seen {
  /** Of this one holding of the claim; no other ever has it. */
  readonly id: string;
  /** Absent when a power cut damaged the file. */
  readonly holder: Holder | undefined;
  /** Milliseconds since the last sign of life. */
  readonly idle: number;
  /** Only what was noted since the machine was started is known to be on the disk. */
  readonly note: Uint8Array | undefined;
}

/**
 * A file that one process at a time has under a name. The end of each holding is itself something only one process
 * can have, as a file of the same kind named by the holding: who releases or takes over first gets that. So nobody
 * can replace a file that is not the one he judged.
 */
export class ClaimFile {
  readonly #path: string;
  readonly #id: string;
  readonly #file: OpenFile;
  /** What the one had noted from whom it was taken over. */
  readonly left: Uint8Array | undefined;

  private constructor(path: string, id: string, file: OpenFile, left: Uint8Array | undefined) {
    this.#path = path;
    this.#id = id;
    this.#file = file;
    this.left = left;
  }

  /** The file at `path`, ours now; `undefined` while another holder is alive. `staleAfter`: milliseconds. */
  static async take(path: string, name: string, staleAfter: number): Promise<ClaimFile | undefined> {
    for (let tries = 0; tries < MAX_TRIES; tries += 1) {
      const seen = await look(path);
      if (seen !== undefined && !isStale(seen, staleAfter)) return undefined;
      const taken = await ClaimFile.#enter(path, name, seen, staleAfter);
      if (taken !== undefined) return taken;
    }
    return undefined;
  }

  static async #enter(
    path: string,
    name: string,
    seen: Seen | undefined,
    staleAfter: number,
  ): Promise<ClaimFile | undefined> {
    const id = randomUUID();
    const temporary = await writeTemporary(dirname(path), toJson({ id, name, ...SELF }));
    HELD.add(id);
    let file: OpenFile | undefined;
    let won = false;
    try {
      file = await OpenFile.open(temporary, constants.O_RDWR);
      won = await (seen === undefined ? linkNew(temporary, path) : replace(temporary, path, name, seen, staleAfter));
      return won ? new ClaimFile(path, id, file, seen?.note) : undefined;
    } finally {
      // What cannot be removed is swept later; a claim that was won must not be lost for it.
      await removeFile(temporary).catch(() => undefined);
      if (!won) {
        HELD.delete(id);
        await file?.close();
      }
    }
  }

  /** Whether it is still ours: who takes over, or removes the directory, takes the name away. */
  isHeld(): boolean {
    return this.#file.hasName();
  }

  /** Shows a sign of life. */
  async touch(): Promise<void> {
    await this.#file.touch(Date.now() * 1000);
  }

  note(note: Uint8Array): Promise<void> {
    return this.#file.write(note, NOTE_AT);
  }

  async release(): Promise<void> {
    const end = endPath(this.#path, this.#id);
    try {
      if (!(await linkNew(this.#path, end))) return;
      if ((await look(end))?.id === this.#id) await removeFile(this.#path);
      await removeFile(end);
    } catch (error) {
      if (!hasCode(error, 'ENOENT')) throw error;
    } finally {
      HELD.delete(this.#id);
      await this.#file.close();
    }
  }
}

/** Whoever has the claim file at `path`, for as long as one wants to look. */
export async function holdingAt(path: string, staleAfter: number): Promise<Holding | undefined> {
  const file = await openFound(path, constants.O_RDONLY);
  return (
    file && {
      async look() {
        const seen = await see(file);
        const isOver = !file.hasName() || isStale(seen, staleAfter);
        return { note: (isOver ? await see(file) : seen).note, isOver };
      },
      [Symbol.asyncDispose]: () => file.close(),
    }
  );
}

async function replace(
  temporary: string,
  path: string,
  name: string,
  seen: Seen,
  staleAfter: number,
): Promise<boolean> {
  const end = await ClaimFile.take(endPath(path, seen.id), name, END_STALE_AFTER);
  if (end === undefined) return false;
  try {
    const now = await look(path);
    if (now?.id !== seen.id || !isStale(now, staleAfter)) return false;
    await rename(temporary, path);
    return true;
  } finally {
    await end.release();
  }
}

function endPath(path: string, id: string): string {
  return `${path}.${id}`;
}

function isStale(seen: Seen, staleAfter: number): boolean {
  if (seen.holder !== undefined && (isGone(seen.holder) || isLeftBehind(seen))) return true;
  return seen.idle > staleAfter;
}

function isLeftBehind({ holder, id }: Seen): boolean {
  return holder?.uuid === SELF.uuid && !HELD.has(id);
}

async function look(path: string): Promise<Seen | undefined> {
  await using file = await openFound(path, constants.O_RDONLY);
  // Awaited here: what rejects while the file is being closed would be caught by nobody.
  return file && (await see(file));
}

async function see(file: OpenFile): Promise<Seen> {
  const { ino, mtimeMs } = file.stat();
  const bytes = new Uint8Array(NOTE_AT + NOTE_SIZE);
  const length = await file.read(bytes, 0);
  const head = Buffer.from(bytes.subarray(0, Math.min(length, NOTE_AT)));
  const json = parseObject(head.subarray(0, head.indexOf(0) >>> 0));
  const id = typeof json?.id === 'string' && /^[0-9a-f-]{36}$/.test(json.id) ? json.id : `damaged-${ino}`;
  const holder = toHolder(json);
  const note = length > NOTE_AT && holder?.boot === SELF.boot ? bytes.subarray(NOTE_AT, length) : undefined;
  return { id, holder, idle: Date.now() - Number(mtimeMs), note };
}
