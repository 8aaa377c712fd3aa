import { createHash } from 'node:crypto';
import type { Client, ClientResponse, HeaderFields } from '../client.ts';
import type { Descriptor, ManifestJson } from '../image.ts';

export interface PullOptions {
  readonly client: Client;
  /** Origin of the registry, such as `https://registry-1.docker.io` or `http://127.0.0.1:5000`. */
  readonly registry: string;
  readonly repository: string;
  /** A tag or a digest. */
  readonly reference: string;
  /** `linux/amd64` unless given. */
  readonly platform?: string;
  readonly credentials?: { readonly username: string; readonly password: string };
  /** The upstream's name, in the query of containerd's requests to a mirror. */
  readonly ns?: string;
}

/** What a client has after a pull; every digest in it was verified. */
export interface Pulled {
  /** Of the top manifest. */
  readonly digest: string;
  readonly manifests: ReadonlyMap<string, { readonly mediaType: string; readonly bytes: Buffer }>;
  /** Sizes in bytes. */
  readonly blobs: ReadonlyMap<string, number>;
  readonly steps: readonly Step[];
}

/** One request of a pull, redirects counted one by one. */
export interface Step {
  readonly method: string;
  readonly url: string;
  readonly status: number;
  readonly bytes: number;
}

/** A pull that ended as the real client would end it: with an error for its user. */
export class PullError extends Error {
  override readonly name = 'PullError';
  readonly status: number;
  readonly steps: readonly Step[];

  constructor(message: string, status: number, steps: readonly Step[]) {
    super(message);
    this.status = status;
    this.steps = steps;
  }
}

export interface Challenge {
  readonly scheme: 'bearer' | 'basic';
  readonly params: ReadonlyMap<string, string>;
}

/** The first challenge of an answer; what the clients modelled here make of it. */
export function challengeOf(response: ClientResponse): Challenge | undefined {
  const at = response.rawHeaders.findIndex((name, index) => index % 2 === 0 && /^www-authenticate$/i.test(name));
  const match = /^(bearer|basic)\s+(.*)$/i.exec(response.rawHeaders[at + 1] ?? '');
  if (at === -1 || match === null) return undefined;
  const pairs = (match[2] ?? '').matchAll(/([\w-]+)="([^"]*)"/g);
  const params = new Map([...pairs].map(([, name = '', value = '']) => [name.toLowerCase(), value]));
  return { scheme: (match[1] ?? '').toLowerCase() === 'basic' ? 'basic' : 'bearer', params };
}

/** What the models share: requests with redirects, a record of them, tokens, and verified content. */
export class Session {
  readonly options: PullOptions;
  readonly steps: Step[] = [];
  readonly manifests = new Map<string, { mediaType: string; bytes: Buffer }>();
  readonly blobs = new Map<string, number>();
  readonly #agent: string;

  constructor(options: PullOptions, agent: string) {
    this.options = options;
    this.#agent = agent;
  }

  /** URL of an endpoint below the repository. */
  url(rest: string): URL {
    const url = new URL(`${this.options.registry}/v2/${this.options.repository}/${rest}`);
    if (this.options.ns !== undefined) url.searchParams.set('ns', this.options.ns);
    return url;
  }

  /** Sends a request and follows up to ten redirects; `authorize` says what each hop gets to see. */
  async send(
    method: string,
    url: URL,
    headers: HeaderFields,
    authorize: (url: URL) => string | undefined = () => undefined,
    body?: string,
  ): Promise<{ readonly response: ClientResponse; readonly url: URL }> {
    let at = url;
    for (let hop = 0; hop <= 10; hop++) {
      const authorization = authorize(at);
      const response = await this.options.client.request(at, {
        method,
        headers: { 'user-agent': this.#agent, ...headers, ...(authorization !== undefined && { authorization }) },
        ...(body !== undefined && { body }),
      });
      this.steps.push({ method, url: at.href, status: response.status, bytes: response.length });
      const { location } = response.headers;
      if (![301, 302, 303, 307, 308].includes(response.status) || location === undefined) return { response, url: at };
      at = new URL(location, at);
    }
    throw this.error(`${url.href} redirects more than ten times`, 310);
  }

  /** GET of the token endpoint, as all three clients do it. */
  async getToken(challenge: Challenge, query: Readonly<Record<string, string>>): Promise<ClientResponse> {
    const url = new URL(challenge.params.get('realm') ?? '');
    for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
    return (await this.send('GET', url, {}, (at) => (at.host === url.host ? this.basic() : undefined))).response;
  }

  /** The credentials as a Basic header. */
  basic(): string | undefined {
    const { credentials } = this.options;
    if (credentials === undefined) return undefined;
    return `Basic ${Buffer.from(`${credentials.username}:${credentials.password}`).toString('base64')}`;
  }

  /** Keeps a manifest whose bytes are what `digest` says. */
  keepManifest(digest: string, response: ClientResponse): ManifestJson {
    if (response.status !== 200) throw this.error(`manifest ${digest} answered ${response.status}`, response.status);
    if (!response.complete) throw this.error(`manifest ${digest} was cut`, response.status);
    this.verify(digest, response.body);
    const mediaType = response.headers['content-type'] ?? '';
    this.manifests.set(digest, { mediaType, bytes: response.body });
    return JSON.parse(response.body.toString()) as ManifestJson;
  }

  keepBlob(descriptor: Descriptor, bytes: Buffer): void {
    if (bytes.length !== descriptor.size) throw this.error(`${descriptor.digest} has ${bytes.length} bytes`, 200);
    this.verify(descriptor.digest, bytes);
    this.blobs.set(descriptor.digest, bytes.length);
  }

  /** The entry of an index for the platform asked for. */
  choose(index: ManifestJson): Descriptor {
    const wanted = this.options.platform ?? 'linux/amd64';
    const entry = index.manifests?.find(({ platform: at }) => `${at?.os}/${at?.architecture}` === wanted);
    if (entry === undefined) throw this.error(`no manifest for ${wanted}`, 404);
    return entry;
  }

  finish(digest: string): Pulled {
    return { digest, manifests: this.manifests, blobs: this.blobs, steps: this.steps };
  }

  error(message: string, status: number): PullError {
    return new PullError(message, status, this.steps);
  }

  verify(digest: string, bytes: Buffer): void {
    const [algorithm = ''] = digest.split(':');
    const actual = `${algorithm}:${createHash(algorithm).update(bytes).digest('hex')}`;
    if (actual !== digest) throw this.error(`expected ${digest}, got the bytes of ${actual}`, 200);
  }
}

/** Config first, then the layers: what an image is made of. */
export function contentOf(manifest: ManifestJson): Descriptor[] {
  return [...(manifest.config === undefined ? [] : [manifest.config]), ...(manifest.layers ?? [])];
}
