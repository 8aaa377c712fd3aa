import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { publish, type RequestEvent } from '../events.ts';
import { RegistryError } from '../oci/error.ts';
import { referenceText } from '../oci/route.ts';
import type { Outcome, Route } from '../registry/exchange.ts';
import type { Arrived } from './arrival.ts';
import type { Answering } from './send.ts';
import { isApi, type Target } from './target.ts';

/** Follows one exchange from its head to the end of its connection or answer, and tells about it once. */
export class Trace implements Answering {
  readonly method: string;
  /** The request target without its query. */
  readonly path: string;
  readonly api: boolean;
  bytes = 0;
  target: Target | undefined;
  outcome: Outcome | undefined;
  /** Of ours, who sent the request. */
  user: string | undefined;
  readonly #id = randomUUID();
  readonly #started = performance.now();
  readonly #head: Pick<RequestEvent, 'host' | 'httpVersion' | 'userAgent' | 'referer'>;
  readonly #response: ServerResponse;
  readonly #client: string;
  #gone: AbortController | undefined;
  #over = false;
  #firstByte: number | undefined;
  #error: string | undefined;

  constructor(request: IncomingMessage, response: ServerResponse, { client, hosts }: Arrived) {
    this.#response = response;
    this.#client = client;
    const { headers, httpVersion, method = '' } = request;
    const { 'user-agent': userAgent = '', referer = '' } = headers;
    const [host = ''] = hosts;
    this.#head = { host, httpVersion, userAgent, referer };
    this.method = method;
    this.path = (request.url ?? '').split('?', 1)[0] ?? '';
    this.api = isApi(this.path);
    response.once('close', () => this.#close());
  }

  /** Aborted when the client goes away before its answer is complete. */
  get signal(): AbortSignal {
    // Made on demand: an answer from memory needs none, and a controller costs as much as the rest of this object.
    this.#gone ??= new AbortController();
    if (this.abandoned) this.#gone.abort();
    return this.#gone.signal;
  }

  /** The client went away before its answer was complete. */
  get abandoned(): boolean {
    return this.#over && !this.#response.writableFinished;
  }

  begun(): void {
    this.#firstByte ??= this.#elapsed();
  }

  /** Keeps what went wrong for the log. An error that is a clean answer below 500 is none. */
  failed(error: unknown): void {
    const answer = error instanceof RegistryError && error.status < 500 && !this.#response.headersSent;
    if (!answer) this.#error ??= describe(error);
  }

  #elapsed(): number {
    return performance.now() - this.#started;
  }

  #close(): void {
    this.#over = true;
    if (this.abandoned) this.#gone?.abort();
    publish('request', this.#event());
  }

  #event(): RequestEvent {
    const total = this.#elapsed();
    const user = this.user ?? this.outcome?.user;
    return {
      id: this.#id,
      client: this.#client,
      method: this.method,
      path: this.path,
      ...this.#head,
      door: this.target !== undefined && 'door' in this.target ? this.target.door : 'own',
      ...asked(this.target),
      ...(user !== undefined && { user }),
      status: this.#response.headersSent ? this.#response.statusCode : 499,
      cache: this.outcome?.cache ?? 'none',
      why: this.outcome?.why ?? 'unanswered',
      bytes: this.bytes,
      firstByte: this.#firstByte ?? total,
      total,
      upstreamTime: this.outcome?.upstreamTime ?? 0,
      aborted: this.abandoned && this.#error === undefined,
      ...(this.#error !== undefined && { error: this.#error }),
    };
  }
}

type Subject = Pick<RequestEvent, 'kind' | 'upstream' | 'repository' | 'reference'>;

function asked(target: Target | undefined): Subject {
  if (target === undefined) return { kind: 'unrouted' };
  switch (target.kind) {
    case 'registry':
      return { kind: target.route.kind, ...subject(target.route) };
    case 'pass':
      return { kind: 'pass', upstream: target.upstream, ...(target.subject && subject(target.subject)) };
    default:
      return { kind: target.kind };
  }
}

function subject(route: Route | NonNullable<Extract<Target, { kind: 'pass' }>['subject']>): Omit<Subject, 'kind'> {
  if (!('repository' in route)) return route.upstream === undefined ? {} : { upstream: route.upstream };
  const { upstream, name } = route.repository;
  const reference =
    'digest' in route
      ? route.digest
      : 'reference' in route && route.reference
        ? referenceText(route.reference)
        : undefined;
  return {
    ...(upstream !== '' && { upstream }),
    repository: name,
    ...(reference !== undefined && { reference }),
  };
}

function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const own = `${error instanceof RegistryError ? error.code : error.name}: ${error.message}`;
  return error.cause === undefined ? own : `${own} (${describe(error.cause)})`;
}
