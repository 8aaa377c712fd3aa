import { Readable } from 'node:stream';
import { parseContentRange } from '../oci/range.ts';
import { hostOf } from './address.ts';
import { UpstreamError, type UpstreamOptions, type UpstreamRequest } from './contract.ts';
import type { Dance } from './dance.ts';
import type { Network } from './network.ts';
import { checkRedirect, type Destination } from './trust.ts';
import { type Answer, discard, type Exchange, type Wire } from './wire.ts';

/** A request at one base URL. `forward` shows the client's own header, `bare` answers no challenge. */
export interface Journey {
  readonly kind: Exchange['kind'];
  readonly method: 'GET' | 'HEAD';
  readonly base: URL;
  readonly path: string;
  readonly repository: string;
  readonly identity: UpstreamRequest['identity'] | { readonly kind: 'bare' };
  readonly headers: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
  readonly headTimeout?: number | undefined;
}

/** Where a journey has got to. `own` ends with the first step to another origin and never comes back. */
interface Place extends Destination {
  readonly own: boolean;
  /** No redirect has been followed yet. */
  readonly start: boolean;
}

const REDIRECTS = new Set([301, 302, 303, 307, 308]);
const MOST_HOPS = 5;
/** How storage says that a signed URL is not good for HEAD. */
const REFUSES_HEAD = new Set([400, 401, 403, 405, 501]);

/** Follows redirects: no credential leaves the origin it was meant for, and none of the URLs is remembered. */
export class Redirects {
  readonly #options: UpstreamOptions;
  readonly #network: Network;
  readonly #wire: Wire;
  readonly #dance: Dance;

  constructor(options: UpstreamOptions, network: Network, wire: Wire, dance: Dance) {
    this.#options = options;
    this.#network = network;
    this.#wire = wire;
    this.#dance = dance;
  }

  /** The first answer that is no redirect. Throws UpstreamError where following on is refused or useless. */
  async follow(journey: Journey): Promise<Answer> {
    const lax = (): Promise<boolean> => this.isLax(journey.base);
    const guarded = this.#options.guarded === true;
    let place: Place = { url: below(journey.base, journey.path), guarded, own: true, start: true };
    for (let hops = 0; ; hops += 1) {
      const answer = await this.#step(journey, place, lax);
      if (!REDIRECTS.has(answer.status)) return this.#arrive(journey, place, answer);
      discard(answer);
      if (hops === MOST_HOPS) throw this.#broken(`redirects more than ${MOST_HOPS} times`);
      place = this.#next(answer, place, journey.base, await lax());
    }
  }

  /** Whether a base URL is itself http or private, so that what it leads to may be too. */
  async isLax(base: URL): Promise<boolean> {
    if (this.#options.guarded === true) return false;
    return base.protocol === 'http:' || hostOf(base) === 'localhost' || this.#network.isPrivate(base);
  }

  #step(journey: Journey, place: Place, lax: () => Promise<boolean>): Promise<Answer> {
    const { kind, method, headers, repository, signal, headTimeout, identity } = journey;
    const { url, guarded, own } = place;
    const send = async (authorization?: string): Promise<Answer> => {
      if (own) await this.#options.limit?.admit(signal);
      const all = { ...headers, ...(authorization !== undefined && { authorization }) };
      return this.#wire.exchange({ kind, method, url, headers: all, guarded, own, signal, headTimeout });
    };
    if (identity.kind === 'bare') return send();
    if (identity.kind === 'forward' && own) return send(identity.authorization);
    if (!own && !url.pathname.startsWith('/v2/')) return send();
    const account = own && identity.kind === 'configured' ? identity.account : '';
    const principal = Object.hasOwn(this.#options.accounts ?? {}, account) ? account : 'anonymous';
    return this.#dance.perform({ url, own, lax, repository, principal, signal }, send);
  }

  #next(answer: Answer, from: Place, base: URL, lax: boolean): Place {
    const { location } = answer.headers;
    if (location === undefined) throw this.#broken(`answers ${answer.status} without a Location`);
    const next = checkRedirect(location, from.url, this.#options, lax);
    return { ...next, start: false, own: from.own && next.url.origin === base.origin };
  }

  async #arrive(journey: Journey, place: Place, answer: Answer): Promise<Answer> {
    const { status } = answer;
    if (status >= 300 && status < 400 && status !== 304) {
      discard(answer);
      throw this.#broken(`answers ${status}`);
    }
    if (place.url.pathname.startsWith('/v2/') || place.start) return answer;
    if (journey.method === 'HEAD' && REFUSES_HEAD.has(status)) {
      discard(answer);
      const headers = { ...journey.headers, range: 'bytes=0-0' };
      return asHead(await this.follow({ ...journey, method: 'GET', headers }));
    }
    if (status !== 401 && status !== 403) return answer;
    discard(answer);
    // The registry has said yes; storage that says no took a signature for expired. A new redirect brings a new one.
    throw new UpstreamError('unreachable', `${place.url.host} refused a signed URL with ${status}`, {
      transient: true,
    });
  }

  #broken(what: string): UpstreamError {
    return new UpstreamError('protocol', `${this.#options.name} ${what}`);
  }
}

function below(base: URL, path: string): URL {
  if (!path.startsWith('/')) throw new TypeError(`expected a path, got ${JSON.stringify(path)}`);
  return new URL(base.href.replace(/\/$/, '') + path);
}

/** The head that a HEAD would have had, from the answer to a GET of the first byte. */
function asHead(answer: Answer): Answer {
  answer.body.destroy();
  const { 'content-range': range, 'content-length': length, ...rest } = answer.headers;
  const body = Object.assign(Readable.from([]), { dump: async () => {} });
  const head = (status: number, size: string | undefined): Answer => {
    return { ...answer, status, body, headers: { ...rest, ...(size !== undefined && { 'content-length': size }) } };
  };
  if (answer.status === 206) return head(200, parseContentRange(range)?.size.toString());
  if (answer.status === 416 && range === 'bytes */0') return head(200, '0');
  return head(answer.status, length);
}
