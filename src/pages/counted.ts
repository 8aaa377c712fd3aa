/** One series of a metric. */
export interface Sample {
  readonly value: number;
  readonly labels: Readonly<Record<string, string | number>>;
}

interface Metric {
  readonly name: string;
  readonly values: readonly Sample[];
}

/** What was counted, by the names and labels of the metrics. */
export class Counted {
  readonly #metrics: ReadonlyMap<string, readonly Sample[]>;

  /** `figures`: as prom-client tells them. */
  constructor(figures: readonly object[]) {
    this.#metrics = new Map((figures as readonly Metric[]).map(({ name, values }) => [name, values]));
  }

  /** The series of a metric that have these labels. */
  samples(name: string, labels: Sample['labels'] = {}): readonly Sample[] {
    const all = this.#metrics.get(name) ?? [];
    return all.filter((sample) => Object.entries(labels).every(([label, value]) => sample.labels[label] === value));
  }

  /** Their sum; 0 where there is none. */
  sum(name: string, labels: Sample['labels'] = {}): number {
    return this.samples(name, labels).reduce((sum, { value }) => sum + value, 0);
  }
}
