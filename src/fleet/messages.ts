/** From a supervisor to a worker, over the channel between the two processes. */
export type Order =
  /** `text`: the configuration file; `descriptors`: how many addresses there are. */
  | { readonly kind: 'begin'; readonly text: string; readonly descriptors: number }
  /** It is counted on from here: it lives on without a supervisor. */
  | { readonly kind: 'adopted' }
  /** Takes in what can change while it runs. */
  | { readonly kind: 'reload'; readonly text: string }
  /** Another one has taken its place: it finishes what runs, in peace. */
  | { readonly kind: 'drain' };

/** From a worker to its supervisor. */
export type Report =
  | { readonly kind: 'ready'; readonly greeting: Greeting }
  /** It cannot start, or cannot use a configuration. */
  | { readonly kind: 'failed'; readonly message: string }
  | { readonly kind: 'reloaded'; readonly applied: readonly string[]; readonly pending: readonly string[] };

/** What is told to who started it. */
export interface Greeting {
  readonly text: string;
  readonly json: Readonly<Record<string, unknown>>;
}

/** The first descriptor that a worker inherits, after standard input, output and error and its channel. */
export const FIRST_DESCRIPTOR = 4;
