import type { ClientResponse } from '../client.ts';
import { type Descriptor, TYPES } from '../image.ts';
import { type Challenge, challengeOf, contentOf, type Pulled, type PullOptions, Session } from './session.ts';

const ACCEPT = [
  TYPES.dockerManifest,
  TYPES.dockerList,
  TYPES.ociIndex,
  TYPES.ociManifest,
  TYPES.schema1Signed,
  'application/json',
];

/**
 * Pulls as dockerd with its own (graphdriver) store does: challenges are taken from the ping alone and belong to the
 * host that answered it; HEAD of the tag with one Accept line per type in random order, then GETs by digest.
 */
export async function pullLikeDockerd(options: PullOptions): Promise<Pulled> {
  const session = new Session(options, 'docker/28.5.1 go/go1.24.8 kernel/6.1.0 os/linux arch/amd64');
  const remote = await Remote.ping(session);
  const accept = { accept: ACCEPT.toSorted(() => Math.random() - 0.5) };
  let digest = options.reference;
  if (!digest.includes(':')) {
    const head = await remote.send('HEAD', `manifests/${options.reference}`, accept);
    if (head.status !== 200) throw session.error(`resolve answered ${head.status}`, head.status);
    digest = String(head.headers['docker-content-digest']);
  }
  const top = session.keepManifest(digest, await remote.send('GET', `manifests/${digest}`, accept));
  const child = top.manifests === undefined ? undefined : session.choose(top);
  const image =
    child === undefined
      ? top
      : session.keepManifest(child.digest, await remote.send('GET', `manifests/${child.digest}`, accept));
  await Promise.all(contentOf(image).map((descriptor) => remote.fetchBlob(descriptor)));
  return session.finish(digest);
}

class Remote {
  readonly #session: Session;
  readonly #challenge: Challenge | undefined;
  /** Host whose ping carried the challenge. */
  readonly #host: string;
  #authorization: string | undefined;

  private constructor(session: Session, challenge: Challenge | undefined, host: string) {
    this.#session = session;
    this.#challenge = challenge;
    this.#host = host;
  }

  static async ping(session: Session): Promise<Remote> {
    const { response, url } = await session.send('GET', new URL(`${session.options.registry}/v2/`), {});
    const remote = new Remote(session, response.status === 401 ? challengeOf(response) : undefined, url.host);
    await remote.#login();
    return remote;
  }

  async send(method: string, rest: string, headers: Record<string, string | string[]>): Promise<ClientResponse> {
    const authorize = (at: URL) => (at.host === this.#host ? this.#authorization : undefined);
    return (await this.#session.send(method, this.#session.url(rest), headers, authorize)).response;
  }

  /** Five attempts; a resumed one must be a 206 that starts and ends exactly right, or all is fetched anew. */
  async fetchBlob(descriptor: Descriptor): Promise<void> {
    let bytes = Buffer.alloc(0);
    for (let attempt = 1; ; attempt++) {
      const range = bytes.length > 0 ? { range: `bytes=${bytes.length}-` } : {};
      const response = await this.send('GET', `blobs/${descriptor.digest}`, {
        'accept-encoding': 'identity',
        ...range,
      });
      if (response.status !== 200 && response.status !== 206) {
        throw this.#session.error(`blob ${descriptor.digest} answered ${response.status}`, response.status);
      }
      const exact = `bytes ${bytes.length}-${descriptor.size - 1}/${descriptor.size}`;
      const fits = bytes.length === 0 ? response.status === 200 : response.headers['content-range'] === exact;
      bytes = fits ? Buffer.concat([bytes, response.body]) : Buffer.alloc(0);
      if ((fits && response.complete) || attempt === 5) break;
    }
    this.#session.keepBlob(descriptor, bytes);
  }

  /** Fetches the token before the first request that needs it. */
  async #login(): Promise<void> {
    if (this.#challenge === undefined) return;
    if (this.#challenge.scheme === 'basic') {
      this.#authorization = this.#session.basic();
      return;
    }
    const { credentials, repository } = this.#session.options;
    const service = this.#challenge.params.get('service') ?? '';
    const account = credentials === undefined ? {} : { account: credentials.username };
    const query = { ...account, scope: `repository:${repository}:pull`, service };
    const answer = await this.#session.getToken(this.#challenge, query);
    if (answer.status !== 200) throw this.#session.error(`token endpoint answered ${answer.status}`, answer.status);
    const body = JSON.parse(answer.body.toString()) as { access_token?: string; token?: string };
    this.#authorization = `Bearer ${body.token ?? body.access_token}`;
  }
}
