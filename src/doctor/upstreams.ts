import { type Finding, ok, problem, several, warning } from './finding.ts';

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

/** Whether the gateway gets what it has to fetch. */
export function judgeUpstreams(all: readonly UpstreamFacts[]): readonly Finding[] {
  const unresolved = all.filter((facts) => facts.unresolved !== undefined);
  const [one] = unresolved;
  return [
    ...all.filter((facts) => !unresolved.includes(facts)).flatMap((facts) => [...noticed(facts), judgeUpstream(facts)]),
    ...(one === undefined
      ? []
      : [
          problem(
            `the names of ${several(unresolved.map(({ name }) => name))} are not resolved (${one.unresolved})`,
            'nothing new comes from these registries',
            'name servers that answer: dns: { servers: [1.1.1.1, 9.9.9.9] }',
          ),
        ]),
  ];
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
  const { name, answer, isGateway } = facts;
  if (isGateway || ('failure' in answer && answer.failure === 'loop')) return loop(facts);
  if ('failure' in answer) return failure(facts, answer);
  const { status, milliseconds, remaining } = answer;
  const left = remaining === undefined ? '' : `, ${remaining} more pulls allowed`;
  const reached = `${name} answers (${status}) in ${Math.round(milliseconds)} ms${left}`;
  if (remaining !== undefined && remaining < FEW) return exhausted(name, remaining);
  if (milliseconds > SLOW)
    return warning(
      reached,
      'every tag is asked of it before it is served, and after 2 s the last known one is served',
      `let tags be served unasked for a while: upstreams: { ${name}: { tags: { ttl: 5m } } }`,
    );
  return ok(reached);
}

function loop({ name, url, addresses = [] }: UpstreamFacts): Finding {
  const host = new URL(url).hostname;
  return problem(
    `${name}: ${host} leads back to this gateway${addresses.length > 0 ? ` (${addresses[0]})` : ''}`,
    'the gateway would fetch from itself; it answers 508 instead',
    `name servers that know the registry's own address: dns: { servers: [1.1.1.1, 9.9.9.9] }; or the address itself: dns: { pins: { ${host}: […] } }`,
  );
}

function exhausted(name: string, remaining: number): Finding {
  const fix = `an account of yours has more: upstreams: { ${name}: { credentials: { username: …, passwordFile: … } } }`;
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
      `wait, or use an account of yours: upstreams: { ${name}: { credentials: { username: …, passwordFile: … } } }`,
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
      `let the gateway trust who signed it: upstreams: { ${name}: { ca: ./registry-ca.crt } }`,
    );
  if (kind === 'protocol')
    return problem(
      `${name}: ${message}`,
      why,
      `see what it says: curl -v ${url}/v2/, and write its real address in urls`,
    );
  const through = proxy === undefined ? '' : ` through the proxy ${proxy}`;
  const route =
    proxy === undefined ? 'where the way out is a proxy, set HTTPS_PROXY' : 'check HTTPS_PROXY and NO_PROXY';
  return problem(`${name}${through}: ${message}`, why, `curl -v ${url}/v2/; ${route}`);
}
