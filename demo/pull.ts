import { Client, type ClientOptions, type ClientResponse, type RequestOptions } from '../test/support/client.ts';
import { pull } from '../test/support/pull/pull.ts';
import { REPOSITORY } from './stage.ts';

/** What one step of the demo saw; every digest was verified by the client. */
export interface Seen {
  /** Milliseconds until the whole image was there. */
  readonly time: number;
  /** Milliseconds from asking for a blob to its first byte; the median of all blobs. */
  readonly firstByte: number;
  /** Digest of the image's index, per client. */
  readonly digests: readonly string[];
  /** What the answers with content say of the cache, as in `5 hit, 1 stale`. */
  readonly outcomes: ReadonlyMap<string, number>;
}

/** A client that keeps what the demo shows; redirects to a blob count towards the wait for its first byte. */
class WatchingClient extends Client {
  readonly outcomes: string[] = [];
  /** Milliseconds. */
  readonly firstBytes: number[] = [];
  readonly #asked = new Map<string, number>();

  override async request(url: string | URL, options: RequestOptions = {}): Promise<ClientResponse> {
    const now = performance.now();
    const blob = /\/blobs\/sha256[:/]([0-9a-f]{64})/.exec(new URL(url).pathname)?.[1];
    const asked = this.#asked.get(blob ?? '') ?? now;
    if (blob !== undefined) this.#asked.set(blob, asked);
    const answer = await super.request(url, options);
    const said = outcome(answer.headers['cache-status']);
    if (said !== undefined) this.outcomes.push(said);
    if (blob !== undefined && answer.status === 200) this.firstBytes.push(now - asked + answer.firstByteMs);
    return answer;
  }
}

export interface From {
  readonly registry: string;
  readonly client: ClientOptions;
}

/** Pulls as that many docker daemons do at the same moment, each with connections of its own. */
export async function pullAtOnce(from: From, platform: string, clients: number = 1): Promise<Seen> {
  const started = performance.now();
  const pulls = Array.from({ length: clients }, async () => {
    using client = new WatchingClient({ ...from.client, keepAlive: true });
    const { registry } = from;
    const { digest } = await pull('dockerd', {
      client,
      registry,
      repository: REPOSITORY,
      reference: 'latest',
      platform,
    });
    return { digest, outcomes: client.outcomes, firstBytes: client.firstBytes };
  });
  const pulled = await Promise.all(pulls);
  const time = performance.now() - started;
  return {
    time,
    firstByte: median(pulled.flatMap(({ firstBytes }) => firstBytes)),
    digests: pulled.map(({ digest }) => digest),
    outcomes: tally(pulled.flatMap(({ outcomes }) => outcomes)),
  };
}

/** One word for a Cache-Status (RFC 9211). */
function outcome(field: string | string[] | undefined): string | undefined {
  const status = String(field ?? '');
  if (/; *hit; *detail=stale/.test(status)) return 'stale hit';
  if (/; *hit/.test(status)) return 'hit';
  if (/; *fwd=stale/.test(status)) return 'revalidated';
  if (/; *collapsed/.test(status)) return 'joined';
  return /; *fwd=uri-miss/.test(status) ? 'miss' : undefined;
}

function tally(words: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const word of words) counts.set(word, (counts.get(word) ?? 0) + 1);
  return counts;
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}
