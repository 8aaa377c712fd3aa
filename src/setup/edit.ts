/** Something that must not stand in a file, or we leave it alone. */
export interface Clash {
  /** Looked for in each line, without case; understood by JavaScript and by POSIX extended expressions alike. */
  readonly pattern: string;
  /** Only below this key at the top of a YAML file. */
  readonly below?: string;
  /** What to type instead. */
  readonly advice: string;
}

/** A whole file of our own. */
export interface FileEdit {
  readonly kind: 'file';
  /** Absolute, as all paths here. */
  readonly path: string;
  readonly content: string;
  /** Another file that must not say something else about the same. */
  readonly beside?: { readonly path: string; readonly clashes: readonly Clash[] };
}

/** Lines between two marks. */
export interface BlockEdit {
  readonly kind: 'block';
  readonly path: string;
  readonly content: string;
  /** The key of a YAML mapping at the top of the file that the lines belong under; without it they come last. */
  readonly below?: string;
  readonly clashes: readonly Clash[];
}

/** A value in front of the others in a list of strings, in a JSON object. */
export interface EntryEdit {
  readonly kind: 'entry';
  readonly path: string;
  readonly key: string;
  readonly value: string;
}

/** One change of one file; a recipe changes each file once. */
export type Edit = FileEdit | BlockEdit | EntryEdit;
