import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Blob } from '../content.ts';
import type { Image } from '../image.ts';
import { type Authority, createAuthority } from '../pki.ts';
import { applyRange } from './blobs.ts';
import { cut, deliver, type Line } from './deliver.ts';
import { type Exchange, parseTarget, type Site } from './exchange.ts';
import { ActiveFault, altered, damaged, type Effect, type Fault, type FaultWhere, strike } from './fault.ts';
import { Listener } from './listener.ts';
import { type LoggedRequest, logged, matches, type Where } from './log.ts';
import type { Profile, ProfileName, Role } from './profile.ts';
import { ORIGINS, PROFILES } from './profiles.ts';
import { type Access, Repositories, type Repository } from './repositories.ts';
import { answer, answerInstead } from './serve.ts';
import { Signatures } from './signatures.ts';
import { Tokens } from './tokens.ts';

export interface UpstreamOptions {
  /** Which registry it plays; `hub` unless given. */
  readonly profile?: ProfileName;
  /** HTTPS by a certificate of this or of a new authority; plain HTTP when `false`. HTTPS unless given. */
  readonly tls?:
    | boolean
    | { readonly authority?: Authority; readonly names?: readonly string[]; readonly days?: number };
  /** Names that stand in URLs instead of 127.0.0.1, and where to listen. */
  readonly hosts?: Partial<Record<Role, { readonly name?: string; readonly address?: string; readonly port?: number }>>;
  /** Users and their passwords. */
  readonly users?: Readonly<Record<string, string>>;
  /** Seconds; 300 unless given. */
  readonly tokenLife?: number;
  /** Milliseconds that a redirect's URL lives; a minute unless given. */
  readonly urlLife?: number;
  /** Manifest GETs before 429, where the profile counts them. */
  readonly pullLimit?: number;
}

/** Starts a registry with its token server and CDN on ports of 127.0.0.1; stop it with `await using` or `close()`. */
export async function startUpstream(options: UpstreamOptions = {}): Promise<FakeUpstream> {
  const upstream = new FakeUpstream(options);
  await upstream.up();
  return upstream;
}

export class FakeUpstream implements AsyncDisposable {
  readonly profile: ProfileName;
  /** PEM of the authority behind the certificates; `undefined` over plain HTTP. */
  readonly ca: string | undefined;
  readonly requests: LoggedRequest[] = [];
  readonly repositories = new Repositories();
  readonly #site: Site;
  readonly #listeners = new Map<Role, Listener>();
  readonly #hosts: NonNullable<UpstreamOptions['hosts']>;
  readonly #pullLimit: number;
  #faults: ActiveFault[] = [];

  constructor(options: UpstreamOptions) {
    this.profile = options.profile ?? 'hub';
    this.#hosts = options.hosts ?? {};
    this.#pullLimit = options.pullLimit ?? Infinity;
    this.#site = {
      repositories: this.repositories,
      users: new Map(Object.entries(options.users ?? {})),
      tokens: new Tokens(options.tokenLife ?? 300),
      signatures: new Signatures(options.urlLife ?? 60_000),
      pullsLeft: this.#pullLimit,
      url: (role) => this.url(role),
    };
    const tls = options.tls === false ? undefined : typeof options.tls === 'object' ? options.tls : {};
    const authority = tls === undefined ? undefined : (tls.authority ?? createAuthority());
    this.ca = authority?.ca;
    const { roles } = PROFILES[this.profile];
    const names = roles.map((role) => this.#hosts[role]?.name ?? '127.0.0.1');
    const certificate = authority?.issue(tls?.names ?? [...new Set([...names, '127.0.0.1', 'localhost'])], tls?.days);
    for (const role of roles) {
      const { name: _, ...where } = this.#hosts[role] ?? {};
      const listener = new Listener({ ...where, ...(certificate && { certificate }) }, (request, response) => {
        this.#serve(role, request, response).catch((error: unknown) => response.destroy(error as Error));
      });
      this.#listeners.set(role, listener);
    }
  }

  /** Origin of a host's URLs, such as `https://127.0.0.1:4321`. */
  url(role: Role = 'registry'): string {
    const { port } = this.listener(role);
    const scheme = this.ca === undefined ? 'http' : 'https';
    return new URL(`${scheme}://${this.#hosts[role]?.name ?? '127.0.0.1'}:${port}`).origin;
  }

  /** `host:port` as it stands in the URLs of a host. */
  authority(role: Role = 'registry'): string {
    return new URL(this.url(role)).host;
  }

  get roles(): Role[] {
    return [...this.#listeners.keys()];
  }

  /** Where a host really listens. */
  listener(role: Role): { readonly address: string; readonly port: number } {
    return this.#listener(role);
  }

  /** Puts an image into a repository, which is public unless said otherwise. */
  add(repository: string, image: Image, options: { access?: Access; tags?: readonly string[] } = {}): Repository {
    const added = this.repositories.add(repository, image, options.tags);
    if (options.access !== undefined) added.access = options.access;
    return added;
  }

  addBlob(repository: string, blob: Blob): void {
    this.repositories.addBlob(repository, blob);
  }

  setUser(name: string, password: string): void {
    this.#site.users.set(name, password);
  }

  /** Switches a fault on, for the requests that `where` picks. */
  fault(where: FaultWhere, effect: Effect): Fault {
    const fault = new ActiveFault(where, effect);
    this.#faults.push(fault);
    return fault;
  }

  clearFaults(): void {
    for (const fault of this.#faults) fault.remove();
    this.#faults = [];
  }

  count(where: Where & { readonly status?: number } = {}): number {
    return this.requests.filter((request) => matches(where, request)).length;
  }

  /** Body bytes handed to connections. */
  bytes(where: Where & { readonly status?: number } = {}): number {
    return this.requests.filter((request) => matches(where, request)).reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /** The distinct Authorization values that a host has seen. */
  authorizations(role: Role): string[] {
    const values = this.requests.flatMap((request) =>
      request.role === role ? (request.headers.authorization ?? []) : [],
    );
    return [...new Set(values)];
  }

  get tokensIssued(): number {
    return this.#site.tokens.issued;
  }

  /** Forgets the requests so far and starts all counters anew; content, faults and tokens stay. */
  reset(): void {
    this.requests.length = 0;
    this.#site.tokens.issued = 0;
    this.#site.pullsLeft = this.#pullLimit;
  }

  /** Refuses the tokens given out so far. */
  expireTokens(): void {
    this.#site.tokens.expire();
  }

  /** Refuses the signed URLs given out so far. */
  expireUrls(): void {
    this.#site.signatures.expire();
  }

  /** Switches hosts off: connections are refused, those there are break. */
  async down(...roles: Role[]): Promise<void> {
    await Promise.all((roles.length === 0 ? this.roles : roles).map((role) => this.#listener(role).down()));
  }

  /** Switches hosts on again, on the same ports. */
  async up(...roles: Role[]): Promise<void> {
    await Promise.all((roles.length === 0 ? this.roles : roles).map((role) => this.#listener(role).up()));
  }

  async close(): Promise<void> {
    this.clearFaults();
    await this.down();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #listener(role: Role): Listener {
    const listener = this.#listeners.get(role);
    if (listener === undefined) throw new Error(`the profile ${this.profile} has no ${role} host`);
    return listener;
  }

  async #serve(role: Role, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const exchange = this.#exchange(role, request);
    const entry = logged(exchange);
    this.requests.push(entry);
    const line: Line = {
      response,
      head: request.method === 'HEAD',
      reset: () => response.socket !== null && this.#listener(role).reset(request.socket),
      sent: (bytes) => {
        entry.bytes += bytes;
      },
    };
    const early = strike(this.#faults, entry, true);
    if (early.effect.hang === true) await early.released;
    if (early.effect.drop !== undefined) return cut(line, early.effect.drop);
    const instead = await answerInstead(exchange, early.effect);
    const honest = instead ?? (await answer(exchange));
    request.resume();
    const touched = instead === undefined && honest.status < 300 && honest.content !== undefined;
    const late = touched ? strike(this.#faults, entry, false) : { effect: {}, released: Promise.resolve() };
    const damagedAnswer = damaged(honest, late.effect);
    const ranged = late.effect.ignoreRange === true ? damagedAnswer : applyRange(damagedAnswer, request.headers.range);
    entry.status = ranged.status;
    await deliver(line, altered(ranged, late.effect), late);
  }

  #exchange(role: Role, request: IncomingMessage): Exchange {
    const profile = this.#profileOf(role);
    const [path = '', search = ''] = (request.url ?? '').split(/\?(.*)/s);
    const prefix = role === 'origin' ? (PROFILES[this.profile].elsewhere?.prefix ?? '') : '';
    const issues = role === 'token' || (profile.realm?.role === 'self' && profile.elsewhere === undefined);
    return {
      site: this.#site,
      profile,
      role,
      method: request.method ?? '',
      path,
      query: new URLSearchParams(search),
      target: parseTarget(path, prefix, issues ? profile.realm?.path : undefined),
      request,
    };
  }

  #profileOf(role: Role): Profile {
    return (role === 'origin' ? ORIGINS[this.profile] : undefined) ?? PROFILES[this.profile];
  }
}
