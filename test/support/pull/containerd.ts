import type { ClientResponse } from '../client.ts';
import { type Descriptor, TYPES } from '../image.ts';
import { type Challenge, challengeOf, contentOf, type Pulled, type PullOptions, Session } from './session.ts';

const RESOLVE_ACCEPT = [TYPES.dockerManifest, TYPES.dockerList, TYPES.ociManifest, TYPES.ociIndex, '*/*'].join(', ');
const ENCODINGS = 'zstd;q=1.0, gzip;q=0.8, deflate;q=0.5';

/**
 * Pulls as containerd's resolver does (core/remotes/docker): no ping; HEAD of the tag, 401, token, HEAD again; then
 * everything by digest. Each redirect's host is authorised by itself. A cleanly cut blob is resumed by Range.
 */
export async function pullLikeContainerd(options: PullOptions): Promise<Pulled> {
  const session = new Session(options, 'containerd/2.1.4');
  const remote = new Remote(session);
  const head = await remote.send('HEAD', session.url(`manifests/${options.reference}`), { accept: RESOLVE_ACCEPT });
  if (head.status !== 200) throw session.error(`resolve answered ${head.status}`, head.status);
  const named = options.reference.includes(':') ? options.reference : head.headers['docker-content-digest'];
  if (typeof named !== 'string') throw session.error('HEAD without Docker-Content-Digest', head.status);
  const mediaType = head.headers['content-type']?.split(';')[0] ?? '';
  const top = session.keepManifest(named, await remote.fetch('manifests', { digest: named, mediaType, size: 0 }));
  const child = top.manifests === undefined ? undefined : session.choose(top);
  const image = child === undefined ? top : session.keepManifest(child.digest, await remote.fetch('manifests', child));
  const [config, ...layers] = contentOf(image);
  if (config !== undefined) await remote.fetchBlob(config);
  await Promise.all(layers.map((layer) => remote.fetchBlob(layer)));
  return session.finish(named);
}

class Remote {
  readonly #session: Session;
  /** The first challenge of each host stays in force. */
  readonly #challenges = new Map<string, Challenge>();
  readonly #headers = new Map<string, string>();

  constructor(session: Session) {
    this.#session = session;
  }

  /** Sends, and sends once more with what the challenge of the answering host asks for. */
  async send(method: string, url: URL, headers: Record<string, string>): Promise<ClientResponse> {
    const authorize = (at: URL) => this.#headers.get(at.host);
    for (const last of [false, false, true]) {
      const { response, url: at } = await this.#session.send(method, url, headers, authorize);
      if (response.status !== 401 || last) return response;
      if (!(await this.#authorize(at.host, response))) return response;
    }
    throw new Error('unreachable');
  }

  fetch(family: 'manifests' | 'blobs', { digest, mediaType }: Descriptor, from: number = 0): Promise<ClientResponse> {
    const range = from > 0 ? { range: `bytes=${from}-` } : {};
    const headers = { accept: `${mediaType}, */*`, 'accept-encoding': ENCODINGS, ...range };
    return this.send('GET', this.#session.url(`${family}/${digest}`), headers);
  }

  /** Goes on after a cut where the bytes end; a 200 to a Range is read again up to there. */
  async fetchBlob(descriptor: Descriptor): Promise<void> {
    let bytes = Buffer.alloc(0);
    for (let idle = 0; idle < 3; ) {
      const response = await this.fetch('blobs', descriptor, bytes.length);
      if (response.status !== 200 && response.status !== 206) {
        throw this.#session.error(`blob ${descriptor.digest} answered ${response.status}`, response.status);
      }
      const before = response.status === 206 ? bytes : Buffer.alloc(0);
      const after = Buffer.concat([before, response.body]);
      idle = after.length > bytes.length ? 0 : idle + 1;
      if (after.length > bytes.length) bytes = after;
      if (response.complete) break;
    }
    this.#session.keepBlob(descriptor, bytes);
  }

  async #authorize(host: string, response: ClientResponse): Promise<boolean> {
    const seen = challengeOf(response);
    const challenge = this.#challenges.get(host) ?? seen;
    if (challenge === undefined) return false;
    // The same complaint about a token just fetched: access denied.
    if (seen?.params.get('error') === 'insufficient_scope' && this.#headers.has(host)) return false;
    this.#challenges.set(host, challenge);
    const value = challenge.scheme === 'basic' ? this.#session.basic() : await this.#token(challenge);
    if (value === undefined) return false;
    this.#headers.set(host, value);
    return true;
  }

  async #token(challenge: Challenge): Promise<string> {
    const { credentials, repository } = this.#session.options;
    const service = challenge.params.get('service') ?? '';
    const scope = challenge.params.get('scope') ?? `repository:${repository}:pull`;
    let answer: ClientResponse | undefined;
    if (credentials !== undefined) {
      const form = { grant_type: 'password', service, scope, client_id: 'containerd-client', ...credentials };
      const url = new URL(challenge.params.get('realm') ?? '');
      const type = { 'content-type': 'application/x-www-form-urlencoded; charset=utf-8' };
      answer = (await this.#session.send('POST', url, type, undefined, `${new URLSearchParams(form)}`)).response;
    }
    if (answer === undefined || [400, 401, 404, 405].includes(answer.status)) {
      answer = await this.#session.getToken(challenge, { ...(service !== '' && { service }), scope });
    }
    if (answer.status !== 200) throw this.#session.error(`token endpoint answered ${answer.status}`, answer.status);
    const body = JSON.parse(answer.body.toString()) as { access_token?: string; token?: string };
    return `Bearer ${body.access_token ?? body.token}`;
  }
}
