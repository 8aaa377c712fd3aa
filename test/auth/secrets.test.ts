import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { PassThrough } from 'node:stream';
import test from 'ava';
import { stringify } from 'yaml';
import { Client, type ClientResponse, type RequestOptions } from '../support/client.ts';
import type { Effect, FaultWhere } from '../support/upstream/fault.ts';
import { type FakeUpstream, startUpstream } from '../support/upstream/upstream.ts';
import { basic, inParallel, type Piece, piecesOf, smallImage } from './scene.ts';

const MAIN = join(import.meta.dirname, '../../src/cli/main.ts');
const IMAGE = smallImage('secrets');
const [OPEN, PRIVATE, SERVED] = ['library/nginx', 'acme/app', 'acme/shared/app'];
const USERS = { ada: 'canary-of-ada-1', eve: 'canary-of-eve-2', bob: 'canary-of-bob-3' };
/** In places where a secret can be, whatever the place makes of it. */
const PLACED = [
  'canary-wrong-4',
  'canary-query-5',
  'canary-cookie-6',
  'canary-bearer-7',
  'canary-scheme-8',
  'canary-form-9',
];
const HOSTS = { hub: 'registry-1.docker.io', basic: 'reg.example.com' };

/** A gateway as it is started by its users, with everything it writes kept in a directory. */
class Program implements AsyncDisposable {
  readonly dir: string;
  readonly #child: ChildProcess;
  readonly client: Client;
  readonly own: string;
  readonly admin: string;

  private constructor(
    dir: string,
    child: ChildProcess,
    addresses: { https: string; http: string; admin: string },
    ca: string,
  ) {
    this.dir = dir;
    this.#child = child;
    const [address = '', port = ''] = addresses.https.split(':');
    const names = [...Object.values(HOSTS), 'auth.docker.io'].map((host) => `${host}:443`);
    const connectTo = Object.fromEntries(names.map((name) => [name, { address, port: Number(port) }]));
    this.client = new Client({ ca, connectTo, keepAlive: true });
    this.own = `http://${addresses.http}`;
    this.admin = `http://${addresses.admin}`;
  }

  static async start(
    dir: string,
    format: 'json' | 'nginx',
    upstreams: Readonly<Record<string, FakeUpstream>>,
  ): Promise<Program> {
    const logs = join(dir, 'logs');
    await mkdir(logs, { recursive: true });
    await writeFile(join(dir, 'password'), USERS.bob);
    const entries = Object.entries(upstreams).map(([name, upstream]) => {
      const roles = upstream.roles.map((role) => upstream.authority(role));
      const account = { username: 'bob', passwordFile: join(dir, 'password'), serve: ['acme/shared/**'] };
      return [name, { urls: [upstream.url()], tokenHosts: roles, blobHosts: roles, credentials: account }];
    });
    const config = {
      listen: { https: '127.0.0.1:0', http: '127.0.0.1:0', admin: '127.0.0.1:0' },
      certs: { dir: join(dir, 'certs') },
      storage: { root: join(dir, 'data'), reserve: 0 },
      log: { level: 'debug', access: { file: join(logs, `${format}.log`), format } },
      upstreams: Object.fromEntries(entries),
    };
    const file = join(dir, `${format}.yaml`);
    await writeFile(file, stringify(config));
    const flags = ['--disable-warning=ExperimentalWarning', MAIN, 'start', '--json', '--config', file];
    const child = spawn(process.execPath, flags, { stdio: ['ignore', 'pipe', 'pipe'] });
    child.stderr.pipe(createWriteStream(join(logs, `${format}.err`)));
    const lines = child.stdout.pipe(new PassThrough());
    child.stdout.pipe(createWriteStream(join(logs, `${format}.out`)));
    for await (const line of createInterface({ input: lines }))
      if (line.startsWith('{')) {
        lines.resume();
        return new Program(dir, child, JSON.parse(line), await readFile(join(dir, 'certs/ca.crt'), 'utf8'));
      }
    throw new Error('the gateway did not start');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.client[Symbol.dispose]();
    this.#child.kill('SIGTERM');
    await once(this.#child, 'close');
  }
}

/** Everything that somebody who may not know it must not find. */
class Secrets {
  readonly #values = new Set<string>(PLACED);
  readonly #places: { readonly name: string; readonly text: string }[] = [];

  constructor() {
    for (const password of Object.values(USERS)) this.#values.add(password);
    for (const [user, password] of Object.entries(USERS))
      this.#values.add(basic(user, password).slice('Basic '.length));
  }

  add(value: unknown): void {
    if (typeof value === 'string' && value.length > 8) this.#values.add(value);
  }

  /** Somewhere to look in when all are known. */
  place(name: string, text: string): void {
    this.#places.push({ name, text });
  }

  found(): string[] {
    const spelled = [...this.#values].flatMap((value) => {
      const bytes = Buffer.from(value);
      return [
        value,
        encodeURIComponent(value),
        ...(['base64', 'base64url', 'hex'] as const).map((form) => bytes.toString(form).replace(/=+$/, '')),
      ];
    });
    return this.#places.flatMap(({ name, text }) =>
      spelled
        .filter((value) => text.includes(value))
        .map((value) => `${name}: ${text.slice(Math.max(0, text.indexOf(value) - 100), text.indexOf(value) + 100)}`),
    );
  }

  get size(): number {
    return this.#values.size;
  }
}

function documentOf({ body }: ClientResponse): Record<string, unknown> {
  return JSON.parse(body.toString()) as Record<string, unknown>;
}

const ELSEWHERE = 'http://canary-query-5:canary-query-5@127.0.0.2/x?X-Signature=canary-query-5';
const FAULTS: readonly (readonly [FaultWhere, Effect])[] = [
  [{ kind: 'blob' }, { status: 503 }],
  [{ kind: 'manifest' }, { drop: 'rst' }],
  [{ role: 'cdn' }, { drop: 'fin' }],
  [{ kind: 'token' }, { status: 503 }],
  [{ role: 'registry' }, { redirect: ELSEWHERE }],
  [{ role: 'registry' }, { status: 401, headers: { 'www-authenticate': `Bearer realm="${ELSEWHERE}",service="s"` } }],
  [{ role: 'registry' }, { status: 429 }],
];

/** Logs in, pulls and fails in every way there is, with secrets in all places. */
async function live(
  program: Program,
  upstreams: readonly FakeUpstream[],
  secrets: Secrets,
  faults: typeof FAULTS,
): Promise<void> {
  const { client, own } = program;
  const ask = async (url: string, options: RequestOptions = {}): Promise<ClientResponse> => {
    const answer = await client.request(url, options);
    const isToken = /token/.test(url) && answer.status === 200;
    if (isToken) for (const name of ['token', 'access_token', 'refresh_token']) secrets.add(documentOf(answer)[name]);
    const body = answer.status >= 400 ? answer.body.toString() : '';
    // A write is told where the upstream itself redirects it to.
    const isRedirected = options.method === 'PUT' && answer.headers.location !== undefined;
    if (!isToken && !isRedirected) secrets.place(`answer to ${url}`, `${answer.rawHeaders.join('\n')}\n${body}`);
    return answer;
  };
  const [hub, basicHost] = [`https://${HOSTS.hub}`, `https://${HOSTS.basic}`];
  const scope = `scope=repository:${PRIVATE}:pull&scope=repository:${OPEN}:pull`;
  const tokens: string[] = [];
  const token = async (options: RequestOptions, query = scope): Promise<void> => {
    const answer = await ask(`${hub}/v2/_layover/token?service=registry.docker.io&${query}`, options);
    if (answer.status === 200) tokens.push(`Bearer ${documentOf(answer).token}`);
  };
  const form = (fields: Record<string, string>): RequestOptions => ({
    method: 'POST',
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    body: new URLSearchParams(fields).toString(),
  });
  const pullAll = async (repositories: readonly string[], pieces: readonly Piece[]): Promise<void> => {
    tokens.length = 0;
    const open = 'repository:library/nginx:pull';
    const password = { grant_type: 'password', username: 'eve', password: USERS.eve, access_type: 'offline' };
    await Promise.all([
      token({ headers: { authorization: basic('ada', USERS.ada) } }),
      token({ headers: { authorization: basic('ada', 'canary-wrong-4') } }),
      token({ headers: { cookie: 'session=canary-cookie-6' } }, `${scope}&password=canary-query-5`),
      token(form({ ...password, scope: open })),
      token(form({ grant_type: 'refresh_token', refresh_token: 'canary-form-9', scope: open })),
    ]);
    const plain = [basic('ada', USERS.ada), basic('ada', 'canary-wrong-4'), undefined];
    const shown = [...tokens, 'Bearer canary-bearer-7', 'Canary canary-scheme-8', undefined];
    const all = [...shown.map((one) => [hub, one] as const), ...plain.map((one) => [basicHost, one] as const)];
    const paths = repositories.flatMap((name) => pieces.map(({ rest }) => `/v2/${name}/${rest}`));
    const cookie = 'session=canary-cookie-6';
    await inParallel(all, async ([base, authorization]) => {
      const headers = { ...(authorization !== undefined && { authorization }), cookie };
      for (const path of ['/v2/', '/page', ...paths]) await ask(`${base}${path}?x=canary-query-5`, { headers });
      await ask(`${base}/v2/${PRIVATE}/manifests/new`, { method: 'PUT', headers, body: '{}' });
    });
    const headers = { authorization: basic('ada', USERS.ada), cookie };
    await inParallel(
      paths,
      async (path) => void (await ask(`${own}${path}?ns=docker.io&x=canary-query-5`, { headers })),
    );
  };
  const everything = piecesOf(IMAGE);
  await pullAll([OPEN, PRIVATE, SERVED], everything);
  const some = everything.filter(({ what }) => what === 'tag' || what === 'layer' || what === 'tags');
  const [registry] = upstreams;
  for (const [where, effect] of faults) {
    registry?.fault({ ...where, times: 200 }, effect);
    await pullAll([PRIVATE], some);
    registry?.clearFaults();
  }
  for (const upstream of upstreams) await upstream.down();
  await pullAll([OPEN, PRIVATE, SERVED], everything);
  for (const upstream of upstreams) await upstream.up();
  for (const { url, headers } of upstreams.flatMap(({ requests }) => requests)) {
    secrets.add(headers.authorization?.split(' ')[1]);
    for (const [name, value] of new URL(url, 'http://x').searchParams)
      if (/signature|password/i.test(name)) secrets.add(value);
  }
  secrets.place('/metrics', (await client.request(`${program.admin}/metrics`)).body.toString());
}

test('nothing that the gateway writes, logs, counts or answers holds a secret of anybody', async (t) => {
  t.timeout(120_000);
  const dir = await mkdtemp(join(tmpdir(), 'layover-secrets-'));
  t.teardown(() => rm(dir, { recursive: true, force: true, maxRetries: 5 }));
  await using hub = await startUpstream({ users: USERS, tls: false });
  await using plain = await startUpstream({ profile: 'basic', users: USERS, tls: false });
  for (const upstream of [hub, plain]) {
    upstream.add(OPEN, IMAGE);
    upstream.add(PRIVATE, IMAGE, { access: ['ada'] });
    upstream.add(SERVED, IMAGE, { access: ['bob'] });
  }
  const secrets = new Secrets();
  for (const format of ['json', 'nginx'] as const) {
    await using program = await Program.start(dir, format, { 'docker.io': hub, 'reg.example.com': plain });
    await live(program, [hub, plain], secrets, format === 'json' ? FAULTS : []);
  }
  let files = 0;
  for (const entry of await readdir(dir, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    if (!entry.isFile() || path === join(dir, 'password')) continue;
    secrets.place(path, `${path}\n${await readFile(path, 'latin1')}`);
    files++;
  }
  t.true(secrets.size > 40 && files > 20, `${secrets.size} secrets, ${files} files`);
  t.log(`${secrets.size} secrets in ${files} files and every answer`);
  t.deepEqual(secrets.found(), []);
});
