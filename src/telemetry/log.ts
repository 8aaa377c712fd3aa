import { destination, pino, stdTimeFunctions } from 'pino';
import { type NoticeEvent, subscribe } from '../events.ts';
import { describeError, errorChain } from './error-chain.ts';
import { escapeControls } from './escape.ts';
import { redact } from './redact.ts';
import { calm } from './repetition.ts';

export interface LogOptions {
  readonly level: NoticeEvent['level'];
  /** `text` is one readable line per notice; the default is text on a terminal, JSON elsewhere. */
  readonly format?: 'text' | 'json' | undefined;
  /** File descriptor; standard error by default, so that an access log on standard output stays clean. */
  readonly fd?: number | undefined;
}

const RANK: Readonly<Record<NoticeEvent['level'], number>> = { debug: 0, info: 1, warn: 2, error: 3 };

/** Writes notices for the operator, at once but for repetitions, until the returned function is called. */
export function openLog({ level, fd = 2, format = process.stderr.isTTY ? 'text' : 'json' }: LogOptions): () => void {
  const target = destination({ dest: fd, sync: true });
  // Nobody is left to tell when standard error is closed.
  target.on('error', () => {});
  const write = format === 'text' ? (notice: NoticeEvent) => target.write(textLine(notice, new Date())) : json(target);
  const calmed = calm(write);
  const unsubscribe = subscribe('notice', (notice) => {
    if (RANK[notice.level] >= RANK[level]) calmed.write(notice);
  });
  return () => {
    unsubscribe();
    calmed.close();
  };
}

function json(target: ReturnType<typeof destination>): (notice: NoticeEvent) => void {
  const formatters = { level: (label: string) => ({ level: label }) };
  const options = {
    level: 'debug',
    base: null,
    messageKey: 'message',
    timestamp: stdTimeFunctions.isoTime,
    formatters,
  };
  const logger = pino(options, target);
  return ({ level, message, error, fields }) => {
    const shown = { ...redactFields(fields), ...(error !== undefined && { error: describeError(error) }) };
    logger[level](shown, redact(message));
  };
}

/** `12:33:07 warn  the upstream does not answer upstream=docker.io (connect ECONNREFUSED 10.0.0.1:443)`. */
export function textLine({ level, message, error, fields }: NoticeEvent, now: Date): string {
  const pairs = Object.entries(redactFields(fields)).map(([key, value]) => ` ${key}=${value}`);
  const reason = error === undefined ? '' : ` (${errorChain(error)})`;
  const time = now.toTimeString().slice(0, 'hh:mm:ss'.length);
  return `${escapeControls(`${time} ${level.padEnd(5)} ${redact(message)}${pairs.join('')}${reason}`)}\n`;
}

function redactFields(fields: NoticeEvent['fields'] = {}): NonNullable<NoticeEvent['fields']> {
  const entries = Object.entries(fields);
  return Object.fromEntries(entries.map(([key, value]) => [key, typeof value === 'string' ? redact(value) : value]));
}
