import { type CacheResult, type RequestEvent, subscribe } from '../events.ts';
import { escapeQuoted } from './escape.ts';
import { openLineWriter } from './line-writer.ts';
import type { Rotation } from './log-file.ts';
import { redact } from './redact.ts';

export interface AccessLogOptions extends Partial<Rotation> {
  /** A path, or `-` for standard output. */
  readonly file: string;
  readonly format: 'json' | 'nginx';
  /** What an upstream is called in the nginx format, where that is not its namespace. */
  readonly aliases?: ReadonlyMap<string, string>;
  /** Whether other processes write to the same place. */
  readonly isShared?: boolean;
}

export interface AccessLog {
  reopen(): void;
  close(): Promise<void>;
}

/** Writes one line per finished request until closed. Throws when the file cannot be opened. */
export function openAccessLog(options: AccessLogOptions): AccessLog {
  const { file, format, maxSize = 0, keep = 0, aliases, isShared = false } = options;
  const lines = openLineWriter(file, { maxSize, keep }, isShared);
  const toLine = format === 'nginx' ? nginxLine : jsonLine;
  const unsubscribe = subscribe('request', (request) => lines.write(toLine(request, new Date(), aliases)));
  return {
    reopen: () => lines.reopen(),
    close: () => {
      unsubscribe();
      return lines.close();
    },
  };
}

/** Times are milliseconds with one decimal. `JSON.stringify`, because pino's serialiser takes three times as long here. */
export function jsonLine(request: RequestEvent, now: Date): string {
  const line = JSON.stringify({
    time: now.toISOString(),
    id: request.id,
    client: request.client,
    door: request.door,
    method: request.method,
    host: request.host,
    path: pathOf(request),
    upstream: request.upstream,
    repository: request.repository,
    reference: request.reference,
    user: request.user,
    kind: request.kind,
    status: request.status,
    cache: request.cache,
    why: request.why,
    bytes: request.bytes,
    firstByte: tenths(request.firstByte),
    total: tenths(request.total),
    upstreamTime: tenths(request.upstreamTime),
    userAgent: request.userAgent,
    referer: redact(request.referer),
    aborted: request.aborted,
    error: request.error === undefined ? undefined : redact(request.error),
  });
  return `${line}\n`;
}

/** A target in absolute form may carry a user and password. */
const pathOf = ({ path }: RequestEvent): string => (path.startsWith('/') ? path : redact(path));

const tenths = (milliseconds: number): number => Math.round(milliseconds * 10) / 10;

/** The words of nginx's `$upstream_cache_status`; it too calls a request that waited for another's fetch a hit. */
const CACHE_STATUS: Readonly<Record<CacheResult, string>> = {
  hit: 'HIT',
  collapsed: 'HIT',
  revalidated: 'REVALIDATED',
  stale: 'STALE',
  miss: 'MISS',
  bypass: 'BYPASS',
  none: '-',
};

/**
 * `$remote_addr "$time_local" $host "$request" $status $bytes_sent "$http_referer" "$http_user_agent"
 * subpath:<alias or upstream> $upstream_cache_status`. The bytes are those of the body.
 */
export function nginxLine(request: RequestEvent, now: Date, aliases?: ReadonlyMap<string, string>): string {
  const { upstream = '' } = request;
  const target = `${request.method} ${pathOf(request)} HTTP/${request.httpVersion}`;
  return (
    `${bare(request.client)} "${localTime(now)}" ${bare(request.host)} "${quoted(target)}" ${request.status} ` +
    `${request.bytes} "${quoted(redact(request.referer))}" "${quoted(request.userAgent)}" ` +
    `subpath:${bare(aliases?.get(upstream) ?? upstream)} ${CACHE_STATUS[request.cache]}\n`
  );
}

const quoted = (text: string): string => (text === '' ? '-' : escapeQuoted(text));

/** An unquoted field: a blank inside would shift every field after it. */
const bare = (text: string): string => quoted(text).replaceAll(' ', '\\x20');

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];
const two = (value: number): string => String(value).padStart(2, '0');

let second = Number.NaN;
let secondText = '';

/** nginx's `$time_local`, such as `21/Nov/2026:12:33:07 +0100`; remembered for the second it stands for. */
function localTime(now: Date): string {
  const current = Math.floor(now.getTime() / 1000);
  if (current === second) return secondText;
  const offset = -now.getTimezoneOffset();
  const zone = `${offset < 0 ? '-' : '+'}${two(Math.floor(Math.abs(offset) / 60))}${two(Math.abs(offset) % 60)}`;
  const date = `${two(now.getDate())}/${MONTHS[now.getMonth()]}/${now.getFullYear()}`;
  second = current;
  secondText = `${date}:${two(now.getHours())}:${two(now.getMinutes())}:${two(now.getSeconds())} ${zone}`;
  return secondText;
}
