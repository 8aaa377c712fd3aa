import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { Client, type ClientResponse, type RequestOptions } from '../support/client.ts';
import { type Blob, makeBlob } from '../support/content.ts';
import { type FakeUpstream, startUpstream, type UpstreamOptions } from '../support/upstream/upstream.ts';
import type { Report } from './case.ts';
import { Gateway, type GatewayOptions, type Usage } from './gateway.ts';
import { betrayals, misjudgedIn, publishedIn, within, wrongOf } from './oracles.ts';

/** Files that may be open beyond those at the beginning, and memory in bytes. */
const SPARE_FILES = 16;
const SPARE_MEMORY = 400 << 20;
const REST = 60_000;

export interface SceneOptions extends Partial<Omit<GatewayOptions, 'dir' | 'upstreams'>> {
  readonly upstream?: UpstreamOptions;
  /** Bytes by which a gateway's memory may have grown in the end; 400 MiB unless given. */
  readonly spareMemory?: number;
  /** Gateways that share the data directory. */
  readonly processes?: number;
  /** Keys of docker.io, beside where it is. */
  readonly registry?: object;
  /** Further upstreams by namespace. */
  readonly further?: Readonly<Record<string, object>>;
}

/** What a client made of an answer. */
export type Outcome =
  | 'right'
  /** The answer broke off before its end, so that the client knows. */
  | 'broken'
  | 'unreachable'
  | { readonly refused: number };

/** An imitated docker.io that can be told to misbehave, and gateways in front of it. */
export class Scene implements AsyncDisposable {
  readonly report: Report;
  readonly upstream: FakeUpstream;
  readonly gateways: readonly Gateway[];
  readonly client = new Client();
  #baselines: readonly Usage[] = [];

  readonly #spareMemory: number;

  private constructor(report: Report, upstream: FakeUpstream, gateways: readonly Gateway[], spareMemory: number) {
    this.report = report;
    this.upstream = upstream;
    this.gateways = gateways;
    this.#spareMemory = spareMemory;
  }

  static async open(report: Report, options: SceneOptions = {}): Promise<Scene> {
    const {
      upstream: upstreamOptions,
      processes = 1,
      registry,
      further,
      spareMemory = SPARE_MEMORY,
      ...rest
    } = options;
    const password = upstreamOptions?.users?.ada ?? `canary-secret-${randomBytes(8).toString('hex')}`;
    const upstream = await startUpstream({ profile: 'hub', tls: false, users: { ada: password }, ...upstreamOptions });
    const roles = upstream.roles.map((role) => upstream.authority(role));
    const hub = { urls: [upstream.url()], tokenHosts: roles, blobHosts: roles, ...registry };
    const upstreams = { 'docker.io': hub, ...further };
    const dir = await report.folder(randomBytes(4).toString('hex'));
    const data = options.data ?? join(dir, 'data');
    const gateways: Gateway[] = [];
    for (let index = 0; index < processes; index++) {
      gateways.push(await Gateway.start(report, { ...rest, dir: join(dir, `${index}`), data, upstreams }));
    }
    const scene = new Scene(report, upstream, gateways, spareMemory);
    await scene.#pullSecret(password);
    await scene.measure();
    return scene;
  }

  get gateway(): Gateway {
    const [only] = this.gateways;
    if (only === undefined) throw new Error('no gateway');
    return only;
  }

  /** A blob of `library/app`, the same for the same seed and size. */
  blob(seed: string | number, size: number): Blob {
    const blob = makeBlob(`${seed}`, size);
    this.upstream.addBlob('library/app', blob);
    return blob;
  }

  /** Pulls a blob by the path door and tells how it went; complete bodies with wrong bytes are violations. */
  async pull({ digest }: Blob, options: RequestOptions = {}, gateway: Gateway = this.gateway): Promise<Outcome> {
    const url = `${gateway.own}/v2/docker.io/library/app/blobs/${digest}`;
    const started = performance.now();
    const answer = await this.client
      .request(url, { discard: true, ...options })
      .catch((error: Error) => `${error.message}`);
    if (typeof answer === 'string') {
      if (answer.startsWith('no byte for')) this.report.violation(`a pull of ${digest} hangs: ${answer}`);
      return 'unreachable';
    }
    const outcome = judge(answer, digest);
    if (outcome === 'wrong') {
      this.report.violation(`a complete answer ${answer.status} of ${answer.length} bytes is not ${digest}`);
      return 'broken';
    }
    if (answer.error?.message.startsWith('no byte for')) this.report.violation(`a pull of ${digest} hangs in its body`);
    if (outcome === 'right') this.report.latency(performance.now() - started);
    return outcome;
  }

  /** How often a blob was asked for where its bytes are. */
  fetches({ digest }: Blob): number {
    return this.upstream.count({ role: 'cdn', method: 'GET', reference: digest });
  }

  /** Takes what the gateways need now as what they may need in the end. */
  async measure(): Promise<void> {
    this.#baselines = this.gateways.map((gateway) => gateway.usage());
  }

  /** What holds after every case: nothing wrong is stored, nothing betrayed, nothing left running or open. */
  async verify(): Promise<void> {
    const { report } = this;
    for (const gateway of this.gateways) {
      const quiet = await within(REST, async () => (await gateway.counter('layover_fills_running')) === 0);
      report.expect(quiet, 'a fetch goes on for ever');
      const alive = await fetch(`http://127.0.0.1:${gateway.ports.admin}/livez`);
      report.expect(alive.ok, `/livez answers ${alive.status}`);
    }
    for (const wrong of await wrongOf(await publishedIn(this.gateway.data))) report.violation(wrong);
    for (const wrong of await misjudgedIn(this.gateway.data)) report.violation(wrong);
    if (this.upstream.roles.includes('cdn')) {
      const shown = this.upstream.authorizations('cdn').length;
      report.expect(shown === 0, `storage that URLs are signed for was shown ${shown} credentials`);
    }
    // Connections that the upstream keeps open are its own affair.
    await this.upstream.down();
    await this.upstream.up();
    for (const [index, gateway] of this.gateways.entries()) await this.#verifyProcess(gateway, this.#baselines[index]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.client[Symbol.dispose]();
    await Promise.all(this.gateways.map((gateway) => gateway[Symbol.asyncDispose]()));
    await this.upstream.close();
  }

  async #verifyProcess(gateway: Gateway, baseline: Usage | undefined): Promise<void> {
    const { report } = this;
    const texts = { log: gateway.log, metrics: await gateway.metrics(), 'access log': await gateway.accessLog() };
    for (const betrayal of await betrayals(gateway.data, texts)) report.violation(betrayal);
    if (/uncaught|unhandled/i.test(gateway.log))
      report.violation(`an error nobody caught: ${gateway.log.slice(-1000)}`);
    const most = baseline === undefined ? undefined : baseline.files + SPARE_FILES;
    if (baseline === undefined || most === undefined) return;
    const closed = await within(REST, () => gateway.usage().files <= most);
    const { files, memory } = gateway.usage();
    report.expect(closed, `${files} files are open, at the beginning it was ${baseline.files}`);
    const grown = memory - baseline.memory;
    report.expect(grown < this.#spareMemory, `memory grew by ${grown >> 20} MiB`);
  }

  /** Makes sure that there are secrets to betray: a login, a token and a signed URL pass through every gateway. */
  async #pullSecret(password: string): Promise<void> {
    const secret = makeBlob('for ada alone', 1000);
    this.upstream.repositories.open('acme/secret', ['ada']);
    this.upstream.addBlob('acme/secret', secret);
    if (this.upstream.profile !== 'hub') return;
    for (const gateway of this.gateways) {
      using client = await gateway.client('registry-1.docker.io');
      const origin = 'https://registry-1.docker.io/v2';
      const basic = Buffer.from(`ada:${password}`).toString('base64');
      const { body } = await client.request(
        `${origin}/_layover/token?service=registry.docker.io&scope=repository:acme/secret:pull`,
        { headers: { authorization: `Basic ${basic}` } },
      );
      const { token } = JSON.parse(body.toString()) as { token: string };
      const headers = { authorization: `Bearer ${token}` };
      const answer = await client.request(`${origin}/acme/secret/blobs/${secret.digest}`, { headers });
      if (answer.digest !== secret.digest) throw new Error(`the pull of a secret: ${answer.status} ${answer.body}`);
    }
  }
}

/** Whether a whole answer is the content of a digest. */
export function judge(answer: ClientResponse, digest: string): Outcome | 'wrong' {
  if (answer.status !== 200) return { refused: answer.status };
  if (!answer.complete) return 'broken';
  return answer.digest === digest ? 'right' : 'wrong';
}
