import { channel, subscribe as listen, unsubscribe } from 'node:diagnostics_channel';

/** Which way a request came in: a presented registry name, `?ns=`, a path on our own names, or none of them. */
export type Door = 'transparent' | 'mirror' | 'path' | 'own';

/**
 * What the cache had to do with an answer: served what it had (`hit`), asked the upstream whether it still holds
 * (`revalidated`), served without being able to ask (`stale`), fetched (`miss`), joined a running fetch
 * (`collapsed`), stayed out of it (`bypass`), or was not concerned (`none`).
 */
export type CacheResult = 'hit' | 'revalidated' | 'stale' | 'miss' | 'collapsed' | 'bypass' | 'none';

/** One finished exchange with a client. Times are milliseconds since the request's head was read. */
export interface RequestEvent {
  readonly id: string;
  readonly client: string;
  readonly door: Door;
  readonly method: string;
  readonly host: string;
  /** The request target without its query. */
  readonly path: string;
  readonly httpVersion: string;
  readonly kind: string;
  readonly upstream?: string;
  readonly repository?: string;
  readonly reference?: string;
  /** The user of ours that was logged in. */
  readonly user?: string;
  readonly status: number;
  readonly cache: CacheResult;
  /** One word or short phrase from a closed list: why the cache result is what it is. */
  readonly why: string;
  readonly bytes: number;
  readonly firstByte: number;
  readonly total: number;
  /** Time spent waiting for the upstream before the first byte. */
  readonly upstreamTime: number;
  readonly userAgent: string;
  readonly referer: string;
  /** The client went away before the answer was complete. */
  readonly aborted: boolean;
  /** What went wrong inside, for the log only; never holds a secret. */
  readonly error?: string;
}

export interface UpstreamRequestEvent {
  readonly upstream: string;
  readonly kind: 'ping' | 'token' | 'manifest' | 'blob' | 'tags' | 'referrers' | 'other';
  readonly method: string;
  /** Absent when no answer came. */
  readonly status?: number;
  readonly error?: string;
  /** Milliseconds until the answer's head. */
  readonly time: number;
}

/** An origin that cannot be connected to is not asked while its breaker is open; half-open, the next request finds out. */
export interface BreakerEvent {
  readonly upstream: string;
  readonly origin: string;
  readonly state: 'open' | 'half-open' | 'closed';
}

/** What an upstream said about how often it may still be asked. */
export interface BudgetEvent {
  readonly upstream: string;
  /** Whose it is: `anonymous` (our address), `configured` (our account; `configured-2` is the second of several), `forward` (a client's). */
  readonly identity: string;
  readonly remaining: number;
  /** Milliseconds since 1970. */
  readonly reset?: number;
}

/** An upstream said "too many requests": until then (milliseconds since 1970) it is not asked again as this principal. */
export interface CoolDownEvent {
  readonly upstream: string;
  readonly principal: string;
  readonly until: number;
}

export interface FillEvent {
  readonly digest: string;
  /** Namespaced; empty where the source has gone. */
  readonly repository: string;
  readonly upstream: string;
  readonly phase: 'started' | 'resumed' | 'switched' | 'committed' | 'parked' | 'failed';
  readonly reason?: string;
  /** Bytes present in the spool. */
  readonly bytes: number;
  /** Of the whole blob. */
  readonly size: number;
}

/** The certificates that clients are shown, told at the start and whenever they change. */
export interface CertificatesEvent {
  /** When each ends, milliseconds since 1970: the serving root, the next one, and the certificate brought along. */
  readonly ends: Readonly<Partial<Record<'root' | 'next' | 'own', number>>>;
  /** Presented hosts and own names that no certificate covers. */
  readonly uncovered: readonly string[];
}

/** What happens to cached bytes, for whoever keeps account of them. */
export interface ContentEvent {
  /** `used`: a client was answered with it or told that it is there; `stored`: it was published; `removed`: evicted. */
  readonly phase: 'used' | 'stored' | 'removed';
  readonly digest: string;
  /** The namespaced repository, where one is concerned. */
  readonly repository?: string;
  /** Bytes of the content. */
  readonly size?: number;
  /** What a manifest names; set for manifests only. */
  readonly children?: readonly string[];
}

/** What became of the promise about disk space, and how the disk stands (bytes). */
export type SpaceEvent =
  | { readonly phase: 'refused'; readonly bytes: number }
  | { readonly phase: 'state'; readonly used: number; readonly reserved: number; readonly limit: number }
  /** The disk cannot be written, `code` is the system's; or it can again. */
  | { readonly phase: 'failing'; readonly code: string }
  | { readonly phase: 'recovered' };

/** What was evicted to keep the cache within its size; `images` are whole ones. */
export interface EvictionEvent {
  readonly images: number;
  readonly bytes: number;
}

/** A line for the operator: what happened, in one readable sentence. */
export interface NoticeEvent {
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  readonly message: string;
  readonly error?: unknown;
  readonly fields?: Readonly<Record<string, string | number | boolean>>;
}

export interface Events {
  request: RequestEvent;
  upstreamRequest: UpstreamRequestEvent;
  /** Body bytes received from an upstream. */
  upstreamBytes: { readonly upstream: string; readonly bytes: number };
  breaker: BreakerEvent;
  budget: BudgetEvent;
  coolDown: CoolDownEvent;
  fill: FillEvent;
  /** How many bytes of a blob being fetched are present now and then. */
  received: { readonly digest: string; readonly bytes: number };
  follower: { readonly phase: 'joined' | 'left' };
  proof: { readonly upstream: string; readonly result: 'granted' | 'refused' };
  /** Somebody showed a user name and a password of ours; `limited`: too often, so that it was not looked at. */
  login: { readonly result: 'accepted' | 'refused' | 'limited' };
  certificates: CertificatesEvent;
  content: ContentEvent;
  space: SpaceEvent;
  eviction: EvictionEvent;
  /** Bytes of partial downloads that nobody is going on with. */
  parked: { readonly bytes: number };
  /** `building`: the index does not know yet what is here. */
  index: { readonly state: 'absent' | 'building' | 'ready' };
  notice: NoticeEvent;
}

/** Publishes to everybody who subscribed; costs next to nothing when nobody did. */
export function publish<Name extends keyof Events>(name: Name, event: Events[Name]): void {
  const target = channel(`layover:${name}`);
  if (target.hasSubscribers) target.publish(event);
}

/** Calls `listener` for every event until the returned function is called. */
export function subscribe<Name extends keyof Events>(name: Name, listener: (event: Events[Name]) => void): () => void {
  const onMessage = (message: unknown): void => listener(message as Events[Name]);
  listen(`layover:${name}`, onMessage);
  return () => {
    unsubscribe(`layover:${name}`, onMessage);
  };
}
