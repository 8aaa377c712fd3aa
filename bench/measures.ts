import type { ServerName } from './servers/server.ts';

export type Column = ServerName | 'direct';

/** What a value of Layover's is to be, by itself or as a multiple of another column's. */
export interface Goal {
  readonly of?: Column;
  readonly atLeast?: number;
  readonly atMost?: number;
}

export interface Row {
  readonly name: string;
  readonly unit: string;
  readonly goals?: readonly Goal[];
}

export interface Summary {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

/** `close`: the median misses the goal, but not every round did, so that noise may have decided. */
export type Verdict = 'met' | 'close' | 'missed';

/** A row with the values of all rounds. */
export interface MeasuredRow extends Row {
  readonly values: Readonly<Partial<Record<Column, readonly number[]>>>;
}

/** The values of all rounds, by row and column. */
export class Measures {
  readonly #values = new Map<Row, Map<Column, number[]>>();

  static of(rows: readonly MeasuredRow[]): Measures {
    const measures = new Measures();
    for (const row of rows)
      for (const [column, values] of Object.entries(row.values))
        for (const value of values.filter(Number.isFinite)) measures.add(row, column as Column, value);
    return measures;
  }

  add(row: Row, column: Column, value: number): void {
    const columns = this.#values.get(row) ?? new Map<Column, number[]>();
    this.#values.set(row, columns);
    columns.set(column, [...(columns.get(column) ?? []), value]);
  }

  get rows(): Row[] {
    return [...this.#values.keys()];
  }

  /** In the order of rounds. */
  values(row: Row, column: Column): readonly number[] {
    return this.#values.get(row)?.get(column) ?? [];
  }

  summary(row: Row, column: Column): Summary | undefined {
    const sorted = this.values(row, column).toSorted((a, b) => a - b);
    const [min, max] = [sorted[0], sorted.at(-1)];
    return min === undefined || max === undefined ? undefined : { median: median(sorted), min, max };
  }

  /** Layover's median as a multiple of another column's. */
  ratio(row: Row, column: Column): number | undefined {
    const [own, other] = [this.summary(row, 'layover'), this.summary(row, column)];
    return own === undefined || other === undefined ? undefined : own.median / other.median;
  }

  /** The worst of the row's goals, as far as there is something to compare with. */
  verdict(row: Row): Verdict | undefined {
    const verdicts = (row.goals ?? []).flatMap((goal) => this.#judge(row, goal) ?? []);
    return (['missed', 'close', 'met'] as const).find((verdict) => verdicts.includes(verdict));
  }

  toJSON(): MeasuredRow[] {
    return this.rows.map((row) => ({ ...row, values: Object.fromEntries(this.#values.get(row) ?? []) }));
  }

  #judge(row: Row, { of, atLeast = -Infinity, atMost = Infinity }: Goal): Verdict | undefined {
    const middle = of === undefined ? this.summary(row, 'layover')?.median : this.ratio(row, of);
    if (middle === undefined) return undefined;
    const isReached = (value: number): boolean => value >= atLeast && value <= atMost;
    if (isReached(middle)) return 'met';
    const others = of === undefined ? undefined : this.values(row, of);
    const rounds = this.values(row, 'layover').map(
      (own, round) => own / (others?.[round] ?? (others ? Number.NaN : 1)),
    );
    return rounds.some(isReached) ? 'close' : 'missed';
  }
}

/** The value in the middle, the lower of two; `NaN` of none. */
export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor((values.length - 1) / 2)] ?? Number.NaN;
}

/** The value that so large a part of the values is not above; `NaN` of none. */
export function quantile(values: readonly number[], part: number): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length * part)] ?? Number.NaN;
}
