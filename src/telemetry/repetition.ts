import type { NoticeEvent } from '../events.ts';

const INTERVAL_MS = 30_000;
/** Different notices that are watched for repetition at a time. */
const LIMIT = 500;

/** Words that differ between notices about the same thing: digests, repository names and paths, bare numbers. */
const DIGEST = /\b[a-z0-9+._-]+:[0-9a-f]{32,}\b/g;
const NAME = /[^\s"']+\/[^\s"']+/g;
const NUMBER = /(?<=\s)\d+(?=[\s;,]|$)/g;

export interface Calm {
  write(notice: NoticeEvent): void;
  /** Tells what is still untold. */
  close(): void;
}

interface Series {
  repeats: number;
  latest: NoticeEvent;
  hasRepeated: boolean;
  timer: NodeJS.Timeout;
}

/**
 * Says a notice at once and what repeats it, digests and names aside, every `interval` milliseconds by its latest one
 * and a number. When a whole interval passes without one, that is said once too. Debug notices are all said.
 */
export function calm(write: (notice: NoticeEvent) => void, interval = INTERVAL_MS): Calm {
  const running = new Map<string, Series>();

  const tell = ({ repeats, latest }: Series): void => {
    const { message } = latest;
    if (repeats === 1) write(latest);
    else if (repeats > 1) write({ ...latest, message: `${message} … and ${repeats - 1} more like it` });
  };
  const end = (key: string, series: Series): void => {
    clearTimeout(series.timer);
    running.delete(key);
    tell(series);
  };
  const tick = (key: string, series: Series): void => {
    if (series.repeats === 0) {
      end(key, series);
      const { level, message } = series.latest;
      const quiet = `not repeated for ${interval / 1000} s: ${message}`;
      if (series.hasRepeated && level !== 'info') write({ level: 'info', message: quiet });
      return;
    }
    tell(series);
    series.repeats = 0;
    schedule(key, series);
  };
  const schedule = (key: string, series: Series): void => {
    series.timer = setTimeout(tick, interval, key, series).unref();
  };
  const begin = (key: string, latest: NoticeEvent): void => {
    for (const [oldest, series] of running) {
      if (running.size < LIMIT) break;
      end(oldest, series);
    }
    const series = { repeats: 0, latest, hasRepeated: false, timer: setTimeout(() => {}, 0) };
    clearTimeout(series.timer);
    schedule(key, series);
    running.set(key, series);
  };

  return {
    write(notice) {
      if (notice.level === 'debug') return write(notice);
      const key = shapeOf(notice);
      const series = running.get(key);
      if (series === undefined) {
        begin(key, notice);
        return write(notice);
      }
      series.repeats += 1;
      series.hasRepeated = true;
      series.latest = notice;
    },
    close() {
      for (const [key, series] of running) end(key, series);
    },
  };
}

/** What notices that repeat each other have in common. */
function shapeOf({ level, message, error }: NoticeEvent): string {
  const shape = message.replace(DIGEST, '<digest>').replace(NAME, '<name>').replace(NUMBER, '<number>');
  return `${level} ${shape} ${codeOf(error)}`;
}

/** The code of an error or of its causes, such as `ENOSPC`: another one is another trouble. */
function codeOf(error: unknown): string {
  let current = error;
  for (let depth = 0; depth < 8 && current instanceof Error; depth++) {
    const { code } = current as NodeJS.ErrnoException;
    if (typeof code === 'string') return code;
    current = current.cause;
  }
  return '';
}
