import { randomUUID } from 'node:crypto';
import type { Crew } from '../fleet/crew.ts';
import { add, type Figures, lasting } from '../telemetry/metrics.ts';
import type { Telemetry } from '../telemetry/telemetry.ts';

/** What a process tells another of its metrics. */
interface Told {
  readonly id: string;
  /** The processes that have ended and left theirs to it. */
  readonly ended: readonly string[];
  readonly figures: readonly Figures[];
}

/**
 * The metrics of all processes, asked from one of them. Who ends leaves its counters to another one, so that they never
 * fall while processes are replaced: a monitor would take that for a new beginning, and count everything again.
 */
export class CrewMetrics {
  readonly #telemetry: Telemetry;
  readonly #crew: Crew;
  readonly #id = randomUUID();
  readonly #ended: string[] = [];
  #inherited: readonly Figures[] = [];

  constructor(telemetry: Telemetry, crew: Crew) {
    this.#telemetry = telemetry;
    this.#crew = crew;
  }

  /** The text of all. */
  async text(): Promise<string> {
    return this.#telemetry.metricsText(await this.#others());
  }

  /** The sums of all. */
  async figures(): Promise<Figures> {
    return add([await this.#telemetry.metrics(), ...(await this.#others())]);
  }

  async #others(): Promise<readonly Figures[]> {
    const told = (await this.#crew.metrics()).map((text) => JSON.parse(text) as Told);
    const ended = new Set([...this.#ended, ...told.flatMap((one) => one.ended)]);
    // Whoever is just ending may have told twice.
    const others = told.filter(({ id }) => !ended.has(id)).flatMap(({ figures }) => figures);
    return [...this.#inherited, ...others];
  }

  /** What another process is told. */
  async tell(): Promise<string> {
    const figures = [await this.#telemetry.metrics(), ...this.#inherited];
    return JSON.stringify({ id: this.#id, ended: this.#ended, figures } satisfies Told);
  }

  /** Takes what a process leaves that ends. */
  async inherit(text: string): Promise<void> {
    const { id, ended, figures } = JSON.parse(text) as Told;
    this.#ended.push(id, ...ended);
    this.#inherited = [await add([...this.#inherited, ...figures])];
  }

  /** Leaves the counters to another process, if there is one. */
  async bequeath(): Promise<void> {
    const figures = [lasting(await this.#telemetry.metrics()), ...this.#inherited];
    await this.#crew.bequeath(JSON.stringify({ id: this.#id, ended: this.#ended, figures } satisfies Told));
  }
}
