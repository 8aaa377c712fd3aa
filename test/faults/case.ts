import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Random } from './random.ts';

/** One way of doing harm, tried again and again. */
export interface FaultCase {
  /** What the table and `--case` call it. */
  readonly name: string;
  /** What holds all the same. */
  readonly shows: string;
  /** How often, with and without `--quick`. */
  readonly runs: { readonly quick: number; readonly full: number };
  /** Programs it needs beside Node; with `namespace`, root too. */
  readonly needs?: readonly string[];
  play(report: Report): Promise<void>;
}

/** One try; its seed alone repeats it. */
export interface Run {
  readonly index: number;
  readonly seed: number;
  readonly random: Random;
}

/** The longest that something took, beside how long it may take; judged by nobody, because machines are busy. */
export interface Time {
  readonly what: string;
  /** Milliseconds, both. */
  readonly worst: number;
  readonly goal: number;
}

export interface ReportOptions {
  /** A directory for the cases. */
  readonly dir: string;
  readonly program: string;
  /** Of the first run; the following ones have the following seeds. */
  readonly seed: number;
  readonly count: number;
  readonly quick: boolean;
  /** Seeds that are run before. */
  readonly first?: readonly number[];
}

/** What the tries of a case came to. */
export class Report {
  readonly case: string;
  /** A directory of the case's own, which is gone afterwards. */
  readonly dir: string;
  /** `bin/layover.js` of the gateway that is tried. */
  readonly program: string;
  readonly violations: string[] = [];
  /** Figures that are printed and judged by nobody. */
  readonly notes: string[] = [];
  worst = 0;
  done = 0;
  readonly #seeds: readonly number[];
  readonly #times = new Map<string, Time>();
  readonly isQuick: boolean;
  #running: Run | undefined;

  constructor(name: string, options: ReportOptions) {
    this.case = name;
    this.dir = join(options.dir, name);
    this.program = options.program;
    const following = Array.from({ length: options.count }, (_, index) => options.seed + index);
    this.#seeds = [...(options.first ?? []), ...following];
    this.isQuick = options.quick;
  }

  /** The tries, one after the other; what is reported meanwhile is of that try. */
  *runs(): Generator<Run> {
    for (const [index, seed] of this.#seeds.entries()) {
      this.#running = { index, seed, random: new Random(seed * 2_654_435_761) };
      yield this.#running;
      this.done++;
    }
    this.#running = undefined;
  }

  violation(what: string): void {
    const of = this.#running === undefined ? 'in the end' : `seed ${this.#running.seed}`;
    this.violations.push(`${of}: ${what}`);
    if (this.violations.length <= 20) console.log(`  VIOLATION ${this.case}, ${of}: ${what}`);
  }

  /** Reports `what` unless `holds`. */
  expect(holds: boolean, what: string): void {
    if (!holds) this.violation(what);
  }

  /** Milliseconds that somebody had to wait. */
  latency(milliseconds: number): void {
    this.worst = Math.max(this.worst, milliseconds);
  }

  /** Something took so long (milliseconds) that was to take no longer than `goal`. */
  time(what: string, milliseconds: number, goal: number): void {
    const known = this.#times.get(what);
    if (known !== undefined && known.worst / known.goal >= milliseconds / goal) return;
    this.#times.set(what, { what, worst: milliseconds, goal });
  }

  get times(): readonly Time[] {
    return [...this.#times.values()];
  }

  note(what: string): void {
    this.notes.push(what);
  }

  async folder(name: string): Promise<string> {
    const path = join(this.dir, name);
    await mkdir(path, { recursive: true });
    return path;
  }
}
