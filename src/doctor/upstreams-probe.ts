import type { X509Certificate } from 'node:crypto';
import type { UpstreamConfig } from '../config/config.ts';
import { accountFor } from '../config/lookup.ts';
import { subscribe } from '../events.ts';
import { hostOf, portOf } from '../upstream/address.ts';
import { parseBudget } from '../upstream/budget.ts';
import { type Identity, UpstreamError, type UpstreamRequest } from '../upstream/contract.ts';
import { type Network, reasonOf } from '../upstream/network.ts';
import type { Proxies } from '../upstream/proxy.ts';
import type { Upstream } from '../upstream/upstream.ts';
import { bounded, patience } from './bounded.ts';
import { shakeHands } from './handshake.ts';
import { aheadOf, isSignedBy } from './roots.ts';
import type { UpstreamFacts } from './upstreams.ts';

/** The gateway's way out. */
export interface Egress {
  readonly network: Pick<Network, 'resolve'>;
  readonly proxies: Proxies;
  readonly open: (name: string) => Pick<Upstream, 'request'>;
  /** The gateway's own roots. */
  readonly roots: readonly X509Certificate[];
}

/** An answer takes tokens, redirects and other URLs, so several questions. */
const QUESTIONS = 2;
/** Docker's own name for it: a HEAD of it says how many pulls are left, and counts as none. */
const METER = 'ratelimitpreview/test';

/** How the operator's log begins to tell of a URL that does not answer, and of an account that is refused. */
const PASSED_OVER = /^(?:going on with |the token server refuses )/;

/** Asks an upstream as the gateway would. */
export async function probeUpstream(config: UpstreamConfig, egress: Egress): Promise<UpstreamFacts> {
  const [url = new URL('https://invalid')] = config.urls;
  const proxy = egress.proxies.for(hostOf(url), portOf(url), url.protocol === 'https:');
  const location = proxy === undefined ? locate(url, egress) : Promise.resolve({ proxy: proxy.host, isGateway: false });
  const notices = new Set<string>();
  const unsubscribe = subscribe('notice', ({ level, message }) => {
    const told = message.startsWith(`${config.name}: `) ? message.slice(config.name.length + 2) : '';
    if (level === 'warn' && PASSED_OVER.test(told)) notices.add(message);
  });
  try {
    const [where, answer] = await Promise.all([location, ask(config, egress)]);
    return { name: config.name, url: url.href.replace(/\/$/, ''), ...where, answer, notices: [...notices] };
  } finally {
    unsubscribe();
  }
}

/** For an upstream that cannot be asked, since a file that it needs is of no use. */
export function unaskedUpstream({ name, urls: [url] }: UpstreamConfig, error: unknown): UpstreamFacts {
  const message = error instanceof Error ? error.message : String(error);
  return { name, url: url?.href ?? '', isGateway: false, notices: [], answer: { failure: 'files', message } };
}

type Location = Pick<UpstreamFacts, 'addresses' | 'unresolved' | 'isGateway'>;

async function locate(url: URL, { network, roots }: Egress): Promise<Location> {
  const resolved = network.resolve(hostOf(url)).then(
    (found) => ({ addresses: found.map(({ address }) => address) }),
    (error: unknown) => ({ unresolved: reasonOf(error) }),
  );
  const location = await bounded(resolved, { unresolved: 'ETIMEOUT' });
  const [address] = 'addresses' in location ? location.addresses : [];
  if (address === undefined || url.protocol !== 'https:' || roots.length === 0)
    return { ...location, isGateway: false };
  const { certificate } = await shakeHands({ address, port: portOf(url), name: hostOf(url) });
  return { ...location, isGateway: isSignedBy(certificate, roots) };
}

async function ask(config: UpstreamConfig, { open }: Egress): Promise<UpstreamFacts['answer']> {
  const started = performance.now();
  const limit = QUESTIONS * patience.question;
  const signal = AbortSignal.timeout(limit);
  try {
    const { status, headers, body } = await open(config.name).request(questionFor(config, signal));
    body.on('error', () => {}).destroy();
    const milliseconds = performance.now() - started;
    const ahead = aheadOf(headers.date, Date.now());
    const remaining = parseBudget(headers, Date.now())?.remaining;
    return {
      status,
      milliseconds,
      ...(ahead !== undefined && { ahead }),
      ...(remaining !== undefined && { remaining }),
    };
  } catch (error) {
    if (!(error instanceof UpstreamError)) return { failure: 'unreachable', message: withoutAnswer(error, limit) };
    const { failure, message, retryAfter, cause } = error;
    const code = cause === undefined ? undefined : reasonOf(cause);
    return { failure, message, ...(code && { code }), ...(retryAfter !== undefined && { retryAfter }) };
  }
}

function withoutAnswer(error: unknown, limit: number): string {
  const isLate = error instanceof Error && error.name === 'TimeoutError';
  return isLate ? `no answer within ${limit / 1_000} s` : reasonOf(error);
}

function questionFor(config: UpstreamConfig, signal: AbortSignal): UpstreamRequest {
  const isHub = config.name === 'docker.io';
  const repository = isHub ? METER : '';
  const account = isHub ? accountFor(config, METER) : undefined;
  const identity: Identity =
    account === undefined ? { kind: 'anonymous' } : { kind: 'configured', account: account.id };
  return isHub
    ? { kind: 'manifest', method: 'HEAD', repository, path: `/v2/${METER}/manifests/latest`, identity, signal }
    : { kind: 'other', method: 'GET', repository, path: '/v2/', identity, signal };
}
