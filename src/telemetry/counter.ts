import { Counter, type Registry } from 'prom-client';

/** Adds `amount` to the series with these label values, given in the order of the label names. */
export type Add = (amount: number, ...values: string[]) => void;

/**
 * A counter that adds up in a map and hands its totals to prom-client only when somebody scrapes: prom-client's own
 * counting of labelled series costs several times as much per request.
 */
export function counter(registry: Registry, name: string, help: string, labelNames: readonly string[] = []): Add {
  const totals = new Map<string, { readonly values: readonly string[]; total: number }>();
  new Counter({
    name,
    help,
    labelNames: [...labelNames],
    registers: [registry],
    collect() {
      this.reset();
      for (const { values, total } of totals.values()) {
        this.inc(Object.fromEntries(labelNames.map((label, index) => [label, values[index] ?? ''])), total);
      }
    },
  });
  return (amount, ...values) => {
    const key = values.join('\n');
    const series = totals.get(key);
    if (series) series.total += amount;
    else totals.set(key, { values, total: amount });
  };
}
