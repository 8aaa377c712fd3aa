import type { NoticeEvent } from '../events.ts';
import { type AccessLogOptions, openAccessLog } from './access-log.ts';
import { openLog } from './log.ts';
import { type Figures, openMetrics, together } from './metrics.ts';

export interface TelemetryOptions {
  /** From which level on notices are written; `silent` writes none. */
  readonly level: NoticeEvent['level'] | 'silent';
  readonly access: AccessLogOptions;
  /** The names that may become label values of metrics. */
  readonly upstreams: readonly string[];
  /** Which of them the upstream of an event counts as. */
  readonly keyOf?: (upstream: string) => string;
  /** How notices look; text on a terminal and JSON elsewhere when absent. */
  readonly format?: 'text' | 'json';
}

export interface Telemetry extends AsyncDisposable {
  /** The metrics in the text format that {@link Telemetry.contentType} names, together with those of `others`. */
  metricsText(others?: readonly Figures[]): Promise<string>;
  /** The metrics of this process, for another one to add its own. */
  metrics(): Promise<Figures>;
  readonly contentType: string;
  /** Opens the access log by its name again, after it was rotated. */
  reopen(): void;
  /** From which level on notices are written from now on; what is silent stays so. */
  setLevel(level: NoticeEvent['level']): void;
  /** Stops listening; resolves when the access log is written. */
  close(): Promise<void>;
}

/** Turns events into an operator's log on standard error, an access log and metrics. Throws when a file cannot be opened. */
export function startTelemetry({ level, access, upstreams, keyOf, format }: TelemetryOptions): Telemetry {
  const accessLog = openAccessLog(access);
  let closeLog = level === 'silent' ? undefined : openLog({ level, format });
  const metrics = openMetrics(upstreams, keyOf);
  const close = async (): Promise<void> => {
    metrics.close();
    await accessLog.close();
    closeLog?.();
  };
  return {
    metricsText: (others = []) => together(metrics.registry, others),
    metrics: () => metrics.registry.getMetricsAsJSON(),
    contentType: metrics.registry.contentType,
    reopen: () => accessLog.reopen(),
    setLevel: (next) => {
      if (closeLog === undefined) return;
      closeLog();
      closeLog = openLog({ level: next, format });
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}
