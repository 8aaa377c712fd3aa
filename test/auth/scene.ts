import { Client, type ClientResponse } from '../support/client.ts';
import { hostOf, NAMESPACE, TestGateway } from '../support/gateway.ts';
import { blobsOf, type Image, type ManifestJson, makeImage, topOf } from '../support/image.ts';
import type { ProfileName } from '../support/upstream/profile.ts';
import { PROFILES } from '../support/upstream/profiles.ts';
import { type FakeUpstream, startUpstream } from '../support/upstream/upstream.ts';

/** The three ways in. On the last two a credential is of no meaning. */
export const DOORS = ['transparent', 'mirror', 'path'] as const;
export type Door = (typeof DOORS)[number];

export const METHODS = ['GET', 'HEAD', 'GET with Range'] as const;
export type Method = (typeof METHODS)[number];

/** A path below a repository's name, and what stands there. */
export interface Piece {
  readonly what: string;
  readonly rest: string;
  /** What a rightful reader gets; `undefined` for lists, which the upstream makes, or we of what is here. */
  readonly bytes: Buffer | undefined;
  readonly digest?: string;
}

/** Every kind of path that leads to something of an image. */
export function piecesOf(image: Image): Piece[] {
  const top = topOf(image);
  const [child = ''] = ((JSON.parse(top.bytes.toString()) as ManifestJson).manifests ?? []).map(({ digest }) => digest);
  const [config = '', layer = ''] = blobsOf(image);
  const manifest = (digest: string): Buffer | undefined =>
    image.manifests.find((stored) => stored.digest === digest)?.bytes;
  const blob = (digest: string): Buffer | undefined => {
    const content = image.blobs.get(digest);
    return content?.read(0, content.size);
  };
  return [
    { what: 'tag', rest: 'manifests/latest', bytes: top.bytes },
    { what: 'index', rest: `manifests/${top.digest}`, bytes: top.bytes, digest: top.digest },
    { what: 'child', rest: `manifests/${child}`, bytes: manifest(child), digest: child },
    { what: 'config', rest: `blobs/${config}`, bytes: blob(config), digest: config },
    { what: 'layer', rest: `blobs/${layer}`, bytes: blob(layer), digest: layer },
    { what: 'tags', rest: 'tags/list', bytes: undefined },
    { what: 'referrers', rest: `referrers/${top.digest}`, bytes: undefined, digest: top.digest },
  ];
}

/** A clock that only moves when told. */
export class Clock {
  #ahead = 0;

  readonly now = (): number => Date.now() + this.#ahead;

  /** Goes ahead by so many seconds. */
  advance(seconds: number): void {
    this.#ahead += seconds * 1000;
  }
}

export function basic(username: string, password: string): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
}

/** An image that is small, since nothing here depends on sizes. */
export function smallImage(seed: string): Image {
  return makeImage({ seed, layers: [3000, 500] });
}

/** One registry behind a gateway, as its clients see it. */
export class Registry {
  readonly profile: ProfileName;
  readonly gateway: TestGateway;
  readonly namespace: string;
  readonly origin: string;
  readonly #plain = new Client({ keepAlive: true });

  constructor(profile: ProfileName, gateway: TestGateway) {
    this.profile = profile;
    this.gateway = gateway;
    this.namespace = NAMESPACE[profile];
    this.origin = `https://${hostOf(this.namespace)}`;
  }

  /** Asks for `rest` of a repository through a door. */
  ask(
    door: Door,
    method: Method,
    repository: string,
    rest: string,
    authorization?: string,
    accept = ACCEPT,
  ): Promise<ClientResponse> {
    const headers = {
      accept,
      ...(authorization !== undefined && { authorization }),
      ...(method === 'GET with Range' && { range: 'bytes=1-5' }),
    };
    const options = { method: method === 'HEAD' ? 'HEAD' : 'GET', headers };
    const own = `${this.gateway.own}/v2/`;
    switch (door) {
      case 'transparent':
        return this.gateway.client.request(`${this.origin}/v2/${repository}/${rest}`, options);
      case 'mirror':
        return this.#plain.request(`${own}${repository}/${rest}?ns=${this.namespace}`, options);
      case 'path':
        return this.#plain.request(`${own}${this.namespace}/${repository}/${rest}`, options);
    }
  }

  get(repository: string, rest: string, authorization?: string): Promise<ClientResponse> {
    return this.ask('transparent', 'GET', repository, rest, authorization);
  }

  /** `GET /v2/`, on the name of the registry. */
  ping(authorization?: string): Promise<ClientResponse> {
    return this.gateway.client.request(`${this.origin}/v2/`, {
      headers: { ...(authorization !== undefined && { authorization }) },
    });
  }

  /** The answer of the token endpoint. */
  login(repositories: readonly string[], authorization?: string): Promise<ClientResponse> {
    const url = new URL(`${this.origin}/v2/_layover/token`);
    const service = PROFILES[this.profile].realm?.service;
    if (service !== undefined) url.searchParams.set('service', service);
    for (const name of repositories) url.searchParams.append('scope', `repository:${name}:pull`);
    return this.gateway.client.request(url, { headers: { ...(authorization !== undefined && { authorization }) } });
  }

  /** An Authorization header with a token; `undefined` when the token server gives none. */
  async token(repositories: readonly string[], authorization?: string): Promise<string | undefined> {
    const answer = await this.login(repositories, authorization);
    if (answer.status !== 200) return undefined;
    return `Bearer ${(JSON.parse(answer.body.toString()) as { token: string }).token}`;
  }

  [Symbol.dispose](): void {
    this.#plain[Symbol.dispose]();
  }
}

export const ACCEPT = [
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
  'application/vnd.docker.distribution.manifest.v2+json',
].join(', ');

/** Everything of an answer that can tell one thing from another, with the names and digests asked for made alike. */
export function toldBy(answer: ClientResponse, names: readonly (string | undefined)[]): object {
  const alike = (text: string): string =>
    names.reduce<string>(
      (masked, name, at) => (name === undefined ? masked : masked.replaceAll(name, `<${at}>`)),
      text,
    );
  const headers: string[] = [];
  for (let at = 0; at < answer.rawHeaders.length; at += 2) {
    const [name = '', value = ''] = answer.rawHeaders.slice(at, at + 2);
    if (name.toLowerCase() !== 'date') headers.push(alike(`${name}: ${value}`));
  }
  return { status: answer.status, headers, body: alike(answer.body.toString('latin1')), complete: answer.complete };
}

/** Runs `work` over all items, some at a time. */
export async function inParallel<Item>(items: readonly Item[], work: (item: Item) => Promise<void>): Promise<void> {
  const rest = items.values();
  const lane = async (): Promise<void> => {
    for (const item of rest) await work(item);
  };
  await Promise.all(Array.from({ length: 12 }, lane));
}

/** Waits until `check` holds, for at most five seconds. */
export async function until(check: () => Promise<boolean>): Promise<void> {
  const end = performance.now() + 5000;
  while (!(await check())) {
    if (performance.now() > end) throw new Error('it did not come about in five seconds');
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

export interface SceneOptions {
  readonly profile?: ProfileName;
  readonly users?: Readonly<Record<string, string>>;
  /** Of the gateway, and of the registry's upstream in it. */
  readonly config?: Readonly<Record<string, unknown>>;
  readonly settings?: (upstream: FakeUpstream) => Readonly<Record<string, unknown>>;
}

/** One registry that a gateway stands in front of; over plain HTTP, since nothing here depends on its certificate. */
export class Scene implements AsyncDisposable {
  readonly upstream: FakeUpstream;
  readonly registry: Registry;
  readonly clock: Clock;

  private constructor(upstream: FakeUpstream, registry: Registry, clock: Clock) {
    this.upstream = upstream;
    this.registry = registry;
    this.clock = clock;
  }

  static async open(options: SceneOptions = {}): Promise<Scene> {
    const { profile = 'hub', users = USERS, config = {}, settings = () => ({}) } = options;
    const upstream = await startUpstream({ profile, users, tls: false });
    const clock = new Clock();
    const gateway = await TestGateway.start({
      upstreams: [upstream],
      settings: { [NAMESPACE[profile]]: settings(upstream) },
      config,
      now: clock.now,
    });
    return new Scene(upstream, new Registry(profile, gateway), clock);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.registry[Symbol.dispose]();
    await this.registry.gateway[Symbol.asyncDispose]();
    await this.upstream.close();
  }
}

export const USERS = { ada: 'password of ada', bob: 'password of bob', eve: 'password of eve' };
export const [ADA, BOB, EVE] = [basic('ada', USERS.ada), basic('bob', USERS.bob), basic('eve', USERS.eve)];
