import { Client, type ClientResponse, type HeaderFields } from '../support/client.ts';
import { blobsOf, type Image, type ManifestJson, TYPES, topOf } from '../support/image.ts';

/** A request that is made of two registries that should answer alike. */
export interface Asked {
  readonly title: string;
  readonly host?: string;
  readonly method?: string;
  readonly path: string;
  readonly headers?: HeaderFields;
  readonly body?: string;
  /** What is asked for is a token, at the address that the challenge names. */
  readonly isToken?: boolean;
  /** What the token is for; without it there is none. */
  readonly scope?: string;
  readonly login?: string;
}

/** What of an answer matters to clients. */
export interface Shown {
  readonly status: number;
  /** Fields that clients look at, challenges by their shape. */
  readonly headers: Readonly<Record<string, string>>;
  /** Of a good answer its digest, of a refusal its code. */
  readonly body: string;
}

const HUB = 'registry-1.docker.io';
const FIELDS = [
  'content-type',
  'content-length',
  'docker-content-digest',
  'etag',
  'accept-ranges',
  'content-range',
  'location',
  'link',
];
const ALL = [TYPES.ociIndex, TYPES.dockerList, TYPES.ociManifest, TYPES.dockerManifest].join(', ');

/** One request after the other, so that what is stored by one is there for the next. */
export function requestsFor({ app, tool, secret }: Readonly<Record<'app' | 'tool' | 'secret', Image>>): Asked[] {
  const top = topOf(app).digest;
  const child = (JSON.parse(topOf(app).bytes.toString()) as ManifestJson).manifests?.[0]?.digest ?? '';
  const [config = '', layer = ''] = blobsOf(app);
  const [, secretLayer = ''] = blobsOf(secret);
  const scope = 'repository:library/app:pull';
  const of = (title: string, rest: string, more: Partial<Asked> = {}): Asked => ({
    title,
    path: `/v2/library/app/${rest}`,
    scope,
    ...more,
  });
  const accept = (text: string) => ({ headers: { accept: text } });
  const absent = `sha256:${'0'.repeat(64)}`;
  const own = 'repository:somebody/secret:pull';
  const secretTop = `/v2/somebody/secret/manifests/${topOf(secret).digest}`;
  const secretBlob = `/v2/somebody/secret/blobs/${secretLayer}`;
  const blob = `blobs/${layer}`;
  return [
    { title: 'ping without a token', path: '/v2/' },
    { title: 'ping with a token', path: '/v2/', scope },
    { title: 'HEAD of the ping', path: '/v2/', method: 'HEAD' },
    { title: 'token for everybody', path: '', isToken: true, scope },
    { title: 'token for a login', path: '', isToken: true, scope: own, login: 'somebody:secret' },
    { title: 'token for a wrong login', path: '', isToken: true, scope: own, login: 'somebody:wrong' },
    { title: 'manifest without a token', path: '/v2/library/app/manifests/latest' },
    { title: 'blob without a token', path: `/v2/library/app/${blob}` },
    of('manifest by tag', 'manifests/latest', accept(ALL)),
    of('manifest by tag, several Accept lines', 'manifests/latest', {
      headers: { accept: [TYPES.ociIndex, TYPES.dockerManifest] },
    }),
    of('manifest by tag, any type', 'manifests/latest', accept('*/*')),
    {
      title: 'image in the format of Docker',
      path: '/v2/library/old/manifests/latest',
      scope: 'repository:library/old:pull',
      ...accept([TYPES.dockerManifest, TYPES.dockerList].join(', ')),
    },
    of('HEAD of a tag', 'manifests/latest', { method: 'HEAD', ...accept(ALL) }),
    of('manifest by digest', `manifests/${top}`, accept(ALL)),
    of('manifest by digest again', `manifests/${top}`, accept(ALL)),
    of('HEAD of a digest', `manifests/${top}`, { method: 'HEAD', ...accept(ALL) }),
    of('manifest of one platform', `manifests/${child}`, accept(ALL)),
    of('a tag that is known', 'manifests/latest', { headers: { accept: ALL, 'if-none-match': `"${top}"` } }),
    of('a digest that is known', `manifests/${top}`, { headers: { accept: ALL, 'if-none-match': `"${top}"` } }),
    of('HEAD of a blob', blob, { method: 'HEAD' }),
    of('blob', blob),
    of('blob again', blob),
    of('config', `blobs/${config}`),
    of('first bytes', blob, { headers: { range: 'bytes=0-99' } }),
    of('last bytes', blob, { headers: { range: 'bytes=-100' } }),
    of('from the middle on', blob, { headers: { range: 'bytes=1000-' } }),
    of('beyond the end', blob, { headers: { range: 'bytes=99999999-' } }),
    of('a blob that is known', blob, { headers: { 'if-none-match': `"${layer}"` } }),
    of('the rest of the same blob', blob, { headers: { range: 'bytes=1000-', 'if-range': `"${layer}"` } }),
    of('absent tag', 'manifests/absent', accept(ALL)),
    of('absent manifest', `manifests/${absent}`, accept(ALL)),
    of('absent blob', `blobs/${absent}`),
    {
      title: 'absent repository',
      path: '/v2/library/absent/manifests/latest',
      scope: 'repository:library/absent:pull',
      ...accept(ALL),
    },
    of('tags', 'tags/list'),
    of('a page of the tags', 'tags/list?n=1'),
    of('referrers', `referrers/${top}`),
    { title: 'catalog', path: '/v2/_catalog', scope },
    { title: 'upper case in a name', path: '/v2/Library/app/manifests/latest', scope, ...accept(ALL) },
    of('no digest', 'blobs/sha256:1234'),
    of('no tag', 'manifests/-latest', accept(ALL)),
    {
      title: 'another registry',
      host: 'ghcr.io',
      path: '/v2/library/tool/manifests/latest',
      scope: 'repository:library/tool:pull',
      ...accept(ALL),
    },
    {
      title: 'blob of another registry',
      host: 'ghcr.io',
      path: `/v2/library/tool/blobs/${blobsOf(tool)[1]}`,
      scope: 'repository:library/tool:pull',
    },
    { title: 'private manifest without a token', path: secretTop, ...accept(ALL) },
    { title: 'private manifest, anonymous', path: secretTop, scope: own, ...accept(ALL) },
    { title: 'private blob, anonymous', path: secretBlob, scope: own },
    { title: 'private manifest with its login', path: secretTop, scope: own, login: 'somebody:secret', ...accept(ALL) },
    { title: 'private blob with its login', path: secretBlob, scope: own, login: 'somebody:secret' },
    { title: 'cached private manifest without a token', path: secretTop, ...accept(ALL) },
    { title: 'cached private blob without a token', path: secretBlob },
    { title: 'cached private blob, anonymous', path: secretBlob, scope: own },
    { title: 'start of a push without a token', method: 'POST', path: '/v2/library/app/blobs/uploads/' },
    of('start of a push', 'blobs/uploads/', { method: 'POST' }),
    of('manifest that is pushed', 'manifests/new', {
      method: 'PUT',
      body: '{}',
      headers: { 'content-type': TYPES.ociManifest },
    }),
    {
      title: 'start of a push with its login',
      method: 'POST',
      path: '/v2/somebody/secret/blobs/uploads/',
      scope: 'repository:somebody/secret:pull,push',
      login: 'somebody:secret',
    },
    of('tag that is deleted', 'manifests/latest', { method: 'DELETE' }),
  ];
}

/** One of the two, with the tokens that it gave. */
export class Side implements Disposable {
  readonly #client: Client;
  readonly #tokens = new Map<string, string>();

  constructor(ca: string, at: { readonly address: string; readonly port: number }) {
    const connectTo = Object.fromEntries([HUB, 'ghcr.io'].map((host) => [`${host}:443`, at]));
    this.#client = new Client({ ca, connectTo, keepAlive: true });
  }

  async ask(asked: Asked): Promise<Shown> {
    const { host = HUB, path, method = 'GET', headers = {}, body, scope, login, isToken = false } = asked;
    if (isToken && scope !== undefined) return shownToken(await this.#askToken(host, scope, login));
    const token = scope === undefined ? undefined : await this.#token(host, scope, login);
    const answer = await this.#client.request(`https://${host}/`, {
      method,
      target: path,
      headers: { ...headers, 'user-agent': 'test', ...(token !== undefined && { authorization: `Bearer ${token}` }) },
      ...(body !== undefined && { body }),
    });
    return shown(answer, host, method);
  }

  async #token(host: string, scope: string, login?: string): Promise<string> {
    const key = `${host} ${scope} ${login}`;
    const known = this.#tokens.get(key);
    if (known !== undefined) return known;
    const answer = await this.#askToken(host, scope, login);
    if (answer.status !== 200) throw new Error(`${key}: ${answer.status} ${answer.body.toString()}`);
    const { token } = JSON.parse(answer.body.toString()) as { token: string };
    this.#tokens.set(key, token);
    return token;
  }

  /** Where the challenge of the ping says, with the scope as the first of the query. */
  async #askToken(host: string, scope: string, login?: string): Promise<ClientResponse> {
    const ping = await this.#client.request(`https://${host}/v2/`, { headers: { 'user-agent': 'test' } });
    const challenge = ping.headers['www-authenticate'] ?? '';
    const [, realm = '', service = ''] = /realm="([^"]+)",service="([^"]+)"/.exec(challenge) ?? [];
    const authorization = login && { authorization: `Basic ${Buffer.from(login).toString('base64')}` };
    const url = `${realm}?scope=${encodeURIComponent(scope)}&service=${service}`;
    return this.#client.request(url, { headers: { 'user-agent': 'test', ...authorization } });
  }

  [Symbol.dispose](): void {
    this.#client[Symbol.dispose]();
  }
}

function shown({ status, headers, body, digest, complete }: ClientResponse, host: string, method: string): Shown {
  if (!complete) throw new Error('the answer was cut');
  // Whether there is a newline at its end is nobody's concern.
  const isList = headers['content-type']?.startsWith('application/json') === true;
  const fields = FIELDS.flatMap((name) => {
    const value = headers[name];
    // Of refusals only what they are, since nobody promises their wording.
    if (typeof value !== 'string' || (name === 'content-length' && (status >= 400 || isList))) return [];
    return [[name, name === 'location' ? value.replace(/[^/]+$/, '…') : value] as const];
  });
  const challenge = headers['www-authenticate'];
  const all = challenge === undefined ? fields : [...fields, ['www-authenticate', shapeOf(challenge, host)] as const];
  const content = method === 'HEAD' ? '' : isList ? JSON.stringify(JSON.parse(body.toString())) : digest;
  return { status, headers: Object.fromEntries(all), body: status < 400 ? content : codeOf(body) };
}

function shownToken({ status, headers, body }: ClientResponse): Shown {
  const hasToken = status === 200 && typeof (JSON.parse(body.toString()) as { token: unknown }).token === 'string';
  return {
    status,
    headers: { 'content-type': headers['content-type'] ?? '' },
    body: hasToken ? 'a token' : '',
  };
}

/** Scheme, where the realm is, the names of the other parameters, and the scope. */
function shapeOf(challenge: string, host: string): string {
  const [scheme = ''] = challenge.split(' ');
  const parameters = new Map(
    [...challenge.matchAll(/(\w+)="([^"]*)"/g)].map(([, name = '', value = '']) => [name, value]),
  );
  const { origin } = new URL(parameters.get('realm') ?? '');
  const rest = [...parameters]
    .filter(([name]) => name !== 'realm')
    .map(([name, value]) => (name === 'scope' ? scopeOf(value) : name));
  return [scheme, origin === `https://${host}` ? 'realm here' : `realm at ${origin}`, ...rest].join(' ');
}

/** Its actions have no order. */
function scopeOf(scope: string): string {
  const [actions = '', ...rest] = scope.split(':').reverse();
  return `scope=${[...rest.reverse(), actions.split(',').sort().join()].join(':')}`;
}

function codeOf(body: Buffer): string {
  try {
    const { errors } = JSON.parse(body.toString()) as { errors: { code: string }[] };
    return errors.map(({ code }) => code).join();
  } catch {
    return body.length === 0 ? '' : 'no JSON';
  }
}
