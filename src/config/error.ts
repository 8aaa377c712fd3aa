/** A configuration that cannot be used: `problems` lists every mistake found, one line each, in the file's order. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly problems: readonly string[];

  constructor(problems: readonly string[], options: { readonly cause?: unknown } = {}) {
    super(problems.join('\n'), options);
    this.problems = problems;
  }
}

/** One mistake of the file, or of an environment variable: something else was expected at a place. `expected` starting with `one of` lists choices. */
export interface Mistake {
  readonly offset: number;
  readonly path: string;
  readonly expected: string;
  readonly got: string;
  /** The variable to blame instead of a place in the file. */
  readonly variable?: string | undefined;
}
