import { configure, type Finding, ok, problem, several, warning } from './finding.ts';

/** What came of asking an upstream for what everybody may have. */
export interface UpstreamFacts {
  readonly name: string;
  /** The first of its URLs. */
  readonly url: string;
  /** The egress proxy in between, without its password. */
  readonly proxy?: string;
  /** Where its name leads, by the gateway's own resolution; absent behind a proxy. */
  readonly addresses?: readonly string[];
  /** The code of a name server's failure. */
  readonly unresolved?: string;
  /** What the gateway would have logged meanwhile: an account that is refused, a URL that is passed over. */
  readonly notices: readonly string[];
  /** What is shown there was signed by the gateway's root. */
  readonly isGateway: boolean;
  readonly answer:
    | {
        readonly status: number;
        readonly milliseconds: number;
        /** Milliseconds that this machine's clock is ahead. */
        readonly ahead?: number;
        /** Requests it will still take. */
        readonly remaining?: number;
      }
    | {
        /** `files`: one that the configuration names is of no use; the others as upstreams tell them. */
        readonly failure: 'unreachable' | 'throttled' | 'protocol' | 'loop' | 'files';
        readonly message: string;
        readonly code?: string;
        /** Seconds. */
        readonly retryAfter?: number;
      };
}

const FEW = 10;
const SLOW = 2_000;
const MISTRUST = /^(?:UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|CERT_|ERR_TLS_CERT|HOSTNAME_MISMATCH)/;

/** Whether the gateway gets what it has to fetch. What several registries have in common is told once. */
export function judgeUpstreams(all: readonly UpstreamFacts[]): readonly Finding[] {
  const groups = Map.groupBy(all, (facts) => commonOf(facts) ?? facts);
  return [...groups.values()].flatMap((group) => {
    const [first, ...others] = group;
    if (first === undefined) return [];
    if (isLoop(first)) return [loop(first, group)];
    if (first.unresolved !== undefined) return [unresolved(first.unresolved, group)];
    if (others.length > 0) return [away(first, group)];
    return [...noticed(first), judgeUpstream(first)];
  });
}

/** What is likely to have one cause: nothing of one registry. */
function commonOf(facts: UpstreamFacts): string | undefined {
  const { answer, unresolved: code, proxy } = facts;
  if (isLoop(facts)) return 'loop';
  if (code !== undefined) return `unresolved ${code}`;
  if (!('failure' in answer) || answer.failure !== 'unreachable' || answer.code === undefined) return undefined;
  return MISTRUST.test(answer.code) ? undefined : `away ${answer.code} ${proxy}`;
}

function isLoop({ isGateway, answer }: UpstreamFacts): boolean {
  return isGateway || ('failure' in answer && answer.failure === 'loop');
}

function namesOf(group: readonly UpstreamFacts[]): string {
  return several(group.map(({ name }) => name));
}

function unresolved(code: string, group: readonly UpstreamFacts[]): Finding {
  return problem(
    `not resolved by the name servers (${code}): ${namesOf(group)}`,
    'nothing new comes from there; what is cached is served',
    configure('dns: { servers: [1.1.1.1, 9.9.9.9] }'),
  );
}

function away({ answer, proxy, url }: UpstreamFacts, group: readonly UpstreamFacts[]): Finding {
  const code = 'failure' in answer ? answer.code : '';
  return problem(
    `not reached${proxy === undefined ? '' : ` through the proxy ${proxy}`} (${code}): ${namesOf(group)}`,
    'nothing new comes from there; what is cached is served',
    `curl -v ${url}/v2/; ${routeOf(proxy)}`,
  );
}

function routeOf(proxy: string | undefined): string {
  return proxy === undefined ? 'where the way out is a proxy, set HTTPS_PROXY' : 'check HTTPS_PROXY and NO_PROXY';
}

/** It answers all the same; where it does not, that is told instead. */
function noticed({ answer, notices, name }: UpstreamFacts): Finding[] {
  if ('failure' in answer) return [];
  return notices.map((notice) =>
    warning(
      notice,
      'the gateway gets less from this registry than its configuration wants',
      /credentials/.test(notice)
        ? `put a password or token that counts into the passwordFile of upstreams.${name}.credentials`
        : `mend that place, or take it out of upstreams.${name}.urls`,
    ),
  );
}

function judgeUpstream(facts: UpstreamFacts): Finding {
  const { name, answer } = facts;
  if ('failure' in answer) return failure(facts, answer);
  const { status, milliseconds, remaining } = answer;
  const left = remaining === undefined ? '' : `, ${remaining} more pulls allowed`;
  const reached = `${name} answers (${status}) in ${Math.round(milliseconds)} ms${left}`;
  if (remaining !== undefined && remaining < FEW) return exhausted(name, remaining);
  if (milliseconds > SLOW)
    return warning(
      reached,
      'every tag is asked of it before it is served, and after 2 s the last known one is served',
      configure(`upstreams: { ${name}: { tags: { ttl: 5m } } }, so that tags are served unasked for a while`),
    );
  return ok(reached);
}

function loop({ url, addresses = [] }: UpstreamFacts, group: readonly UpstreamFacts[]): Finding {
  const host = new URL(url).hostname;
  return problem(
    `leading back to this gateway${addresses.length > 0 ? ` (${addresses[0]})` : ''}: ${namesOf(group)}`,
    'the gateway would fetch from itself; it answers 508 instead',
    `${configure('dns: { servers: [1.1.1.1, 9.9.9.9] }')}, name servers that know the real addresses; or an address itself: dns: { pins: { ${host}: […] } }`,
  );
}

function exhausted(name: string, remaining: number): Finding {
  const fix = configure(
    `upstreams: { ${name}: { credentials: { username: …, passwordFile: … } } }, an account that may pull more`,
  );
  const why = 'what is cached is served meanwhile, and new images are refused with 429';
  return remaining === 0
    ? problem(`${name} takes no more pulls from here for now`, why, fix)
    : warning(`${name} takes ${remaining} more pulls from here for now`, why, fix);
}

function failure(
  { name, url, proxy }: UpstreamFacts,
  answer: Extract<UpstreamFacts['answer'], { failure: string }>,
): Finding {
  const { failure: kind, message, code = '', retryAfter } = answer;
  if (kind === 'throttled')
    return problem(
      `${name} refuses requests from here for now (429)${retryAfter === undefined ? '' : `, for ${retryAfter} s`}`,
      'what is cached is served meanwhile, and new images are refused',
      `wait; or ${configure(`upstreams: { ${name}: { credentials: { username: …, passwordFile: … } } }`)}`,
    );
  if (kind === 'files')
    return problem(
      `${name}: ${message}`,
      'the gateway does not start',
      'put the file there, and let the user of the gateway read it: sudo chown layover FILE; sudo chmod 600 FILE',
    );
  const why = 'nothing new comes from this registry; what is cached is served';
  if (MISTRUST.test(code))
    return problem(
      `${name}: the certificate of ${url} is not trusted (${code})`,
      `${why}. A firewall that looks into TLS shows its own certificate`,
      `${configure(`upstreams: { ${name}: { ca: ./registry-ca.crt } }`)}, the certificate of who signed it`,
    );
  if (kind === 'protocol')
    return problem(
      `${name}: ${message}`,
      why,
      `see what it says: curl -v ${url}/v2/, and write its real address in urls`,
    );
  const through = proxy === undefined ? '' : ` through the proxy ${proxy}`;
  return problem(`${name}${through}: ${message}`, why, `curl -v ${url}/v2/; ${routeOf(proxy)}`);
}
