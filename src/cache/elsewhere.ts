import { setTimeout as sleep } from 'node:timers/promises';
import type { Digest } from '../oci/digest.ts';
import { fillClaim, type Holding } from '../store/claim.ts';
import type { SpoolFile } from '../store/spool-file.ts';
import { UpstreamError } from '../upstream/contract.ts';
import { SpoolFailed } from './fetcher.ts';
import type { Fill } from './fill.ts';
import type { Stores } from './place.ts';
import { type Progress, parseProgress } from './progress.ts';

/** Milliseconds between two looks at how another process gets on. */
const LOOK_EVERY = 20;
/** Looks after which a fill that nobody here reads is left alone. */
const IDLE_LOOKS = 50;
export const UNREAD = new UpstreamError('unreachable', 'nobody reads the blob');

/** A fill in the hands of another process, whose notes are looked at again and again while its file is read. */
export interface Elsewhere {
  readonly holding: Holding;
  progress: Progress;
  /** The file of which the progress is; absent while the other process makes room for one. */
  file: SpoolFile | undefined;
  readonly open: (progress: Progress) => Promise<SpoolFile | undefined>;
}

/** The other process's fill once it has a file; `undefined` when it ends before, or the signal is aborted. */
export async function find(
  { claims, spool }: Stores,
  digest: Digest,
  signal: AbortSignal,
): Promise<(Elsewhere & { readonly file: SpoolFile }) | undefined> {
  const holding = await claims.holding(fillClaim(digest));
  if (holding === undefined) return undefined;
  // Nobody else's file, and none of another start, came there while it was opened.
  const open = async ({ generation, size }: Progress): Promise<SpoolFile | undefined> => {
    const file = size > 0 ? await spool.view(digest) : undefined;
    const { note, isOver } = await holding.look();
    const now = parseProgress(note);
    const isTold = !isOver && now?.generation === generation && now.size === size;
    if (isTold) file?.told(now.prefix);
    else await file?.close();
    return isTold ? file : undefined;
  };
  for (let isOver = false; !isOver && !signal.aborted; await sleep(isOver ? 0 : LOOK_EVERY)) {
    const seen = await holding.look();
    const progress = parseProgress(seen.note);
    const file = progress && (await open(progress));
    if (progress && file) return { holding, progress, file, open };
    isOver = seen.isOver;
  }
  await holding[Symbol.asyncDispose]();
  return undefined;
}

/** Looks after the readers of `fill` until the other process is ready, or nobody reads; else the fill goes on running. */
export async function follow(fill: Fill, elsewhere: Elsewhere): Promise<void> {
  const { file, progress } = elsewhere;
  if (progress.size !== fill.size) fill.end('detached', new SpoolFailed('the blob has another size'));
  else if (file !== undefined && fill.bytes.file !== file) fill.bytes.goOn(file, progress.base);
  for (let idle = 0; fill.state === 'running'; idle = fill.isFollowed ? 0 : idle + 1) {
    const isOver = await look(fill, elsewhere);
    const { state } = elsewhere.progress;
    if (fill.state !== 'running') return;
    if (state === 'verified' && !fill.bytes.isVerified) fill.bytes.verified();
    if (state === 'detached') fill.end(state, new SpoolFailed('another process cannot keep the blob'));
    else if (isOver && state === 'verified') fill.end('committed');
    else if (isOver) return;
    else if (idle === IDLE_LOOKS) fill.park(UNREAD);
    else await sleep(LOOK_EVERY);
  }
}

async function look({ bytes }: Fill, elsewhere: Elsewhere): Promise<boolean> {
  const { note, isOver } = await elsewhere.holding.look();
  const progress = parseProgress(note) ?? elsewhere.progress;
  if (progress.generation !== elsewhere.progress.generation) {
    elsewhere.file = undefined;
    bytes.beginAnew();
  }
  elsewhere.progress = progress;
  if (elsewhere.file === undefined) {
    elsewhere.file = await elsewhere.open(progress);
    if (elsewhere.file !== undefined) bytes.goOn(elsewhere.file);
  } else if (progress.prefix > bytes.prefix) {
    elsewhere.file.told(progress.prefix);
    bytes.announce();
  }
  return isOver;
}
