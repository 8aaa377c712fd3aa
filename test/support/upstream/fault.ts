import { corrupted } from '../content.ts';
import type { Answer } from './exchange.ts';
import { type LoggedRequest, matches, type Where } from './log.ts';

/** What goes wrong with an answer; several may be combined. */
export interface Effect {
  // Before there is an answer: these hit every request picked.
  /** Milliseconds before the head. */
  readonly delay?: number;
  /** No answer at all until released. */
  readonly hang?: boolean;
  /** The connection is closed (`fin`) or reset (`rst`) instead of answered. */
  readonly drop?: 'fin' | 'rst';
  /** This status instead of the answer, with the headers below; a 401 carries the registry's challenge if not its own. */
  readonly status?: number;
  /** A redirect there instead of the answer; `self` redirects to the same URL for ever. */
  readonly redirect?: string;

  // To an answer that carries content (2xx): these hit only such answers, and GET unless the method is picked.
  /** Replaces header fields, or removes those that are `undefined`. */
  readonly headers?: Readonly<Record<string, string | readonly string[] | undefined>>;
  /** 200 with everything, whatever Range says. */
  readonly ignoreRange?: boolean;
  /** The byte at this position of the whole content is wrong. */
  readonly corruptAt?: number;
  /** After so many bytes of this body the connection ends, by `cutBy`. */
  readonly cutAfter?: number;
  /** A clean end in mid-body (`fin`, the default) or a reset. */
  readonly cutBy?: 'fin' | 'rst';
  /** After so many bytes of this body nothing more comes until released. */
  readonly stallAfter?: number;
  readonly bytesPerSecond?: number;
  readonly length?: LengthLie;
}

/**
 * What the framing says of the body, which is always sent whole: `long` declares 10 bytes more and `short` 10 fewer,
 * `duplicate` declares two lengths, `chunked` none, `unterminated` is chunked without the last chunk, `until-close`
 * ends with the connection; `{ value }` is put in Content-Length as it is.
 */
export type LengthLie =
  | 'long'
  | 'short'
  | 'duplicate'
  | 'chunked'
  | 'unterminated'
  | 'until-close'
  | { readonly value: string };

export interface FaultWhere extends Where {
  /** How many requests it hits before it is spent; without it, all. */
  readonly times?: number;
  /** How many requests it lets through first. */
  readonly skip?: number;
}

/** A fault that is switched on. */
export interface Fault {
  /** Requests it has hit. */
  readonly hits: number;
  /** Lets stalled and hanging answers go on, and stalls no more. */
  release(): void;
  /** Switches it off; what it has stalled goes on. */
  remove(): void;
}

export class ActiveFault implements Fault {
  readonly where: FaultWhere;
  readonly effect: Effect;
  hits = 0;
  #seen = 0;
  #spent = false;
  readonly #gate = Promise.withResolvers<void>();

  constructor(where: FaultWhere, effect: Effect) {
    this.where = where;
    this.effect = effect;
  }

  get released(): Promise<void> {
    return this.#gate.promise;
  }

  /** Whether it hits this request, which counts as one of its times. */
  hit(request: LoggedRequest): boolean {
    if (this.#spent || !matches(this.where, { ...request, status: 0 })) return false;
    this.#seen++;
    if (this.#seen <= (this.where.skip ?? 0) || this.hits >= (this.where.times ?? Infinity)) return false;
    this.hits++;
    return true;
  }

  /** Whether it takes effect before there is an answer. */
  get early(): boolean {
    const { delay, hang, drop, status, redirect } = this.effect;
    return [delay, hang, drop, status, redirect].some((field) => field !== undefined);
  }

  release(): void {
    this.#gate.resolve();
  }

  remove(): void {
    this.#spent = true;
    this.#gate.resolve();
  }
}

/** The effects of all faults that hit, the first one winning where they disagree, and what releases them. */
export interface Hit {
  readonly effect: Effect;
  readonly released: Promise<unknown>;
}

export function strike(faults: readonly ActiveFault[], request: LoggedRequest, early: boolean): Hit {
  const hits = faults.filter(
    (fault) =>
      fault.early === early && (early || (fault.where.method ?? 'GET') === request.method) && fault.hit(request),
  );
  const effect: Effect = Object.assign({}, ...hits.map((fault) => fault.effect).reverse());
  return { effect, released: Promise.all(hits.map((fault) => fault.released)) };
}

/** The answer with its header fields replaced or gone. */
export function altered(answer: Answer, effect: Effect): Answer {
  const headers = { ...answer.headers };
  for (const [name, value] of Object.entries(effect.headers ?? {})) {
    if (value === undefined) delete headers[name];
    else headers[name] = value;
  }
  return { ...answer, headers };
}

/** The answer whose content is wrong at one byte. */
export function damaged(answer: Answer, { corruptAt }: Effect): Answer {
  if (corruptAt === undefined || answer.content === undefined) return answer;
  return { ...answer, content: corrupted(answer.content, corruptAt) };
}
