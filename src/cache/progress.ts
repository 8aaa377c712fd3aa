const STATES = ['filling', 'verified', 'detached'] as const;

/** How far a fill is, as the process that runs it notes it on its claim for all others. Sizes in bytes. */
export interface Progress {
  /** Counts fresh starts from wrong bytes: what was read before one is worth nothing. */
  readonly generation: number;
  /** 0 while there is no file to read: until the size is known, and while a wrong file gives way to another. */
  readonly size: number;
  /** How many bytes from the beginning on were there before this process wrote any. */
  readonly base: number;
  /** How many bytes from the beginning on there are. */
  readonly prefix: number;
  /** `verified`: all bytes are there and right; `detached`: its storage failed. */
  readonly state: (typeof STATES)[number];
}

/** Everything twice, since it may be read while it is written. */
export function formatProgress({ generation, size, base, prefix, state }: Progress): Uint8Array {
  const numbers = [generation, size, base, prefix, STATES.indexOf(state)];
  return new Uint8Array(Float64Array.of(...numbers, ...numbers).buffer);
}

/** Reads what {@link formatProgress} made; `undefined` for anything else. */
export function parseProgress(note: Uint8Array | undefined): Progress | undefined {
  if (note?.length !== 80) return undefined;
  const [generation = 0, size = 0, base = 0, prefix = 0, index = 0, ...again] = new Float64Array(note.slice().buffer);
  const state = STATES[index];
  const isWhole = `${[generation, size, base, prefix, index]}` === `${again}`;
  return isWhole && state !== undefined ? { generation, size, base, prefix, state } : undefined;
}
