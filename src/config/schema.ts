import * as z from 'zod';
import type { AtLeastOne, ListenAddress } from './config.ts';
import {
  DURATION,
  parseAddress,
  parseBandwidth,
  parseBaseUrl,
  parseDuration,
  parseHostOrIp,
  parseImagePattern,
  parseIp,
  parseNameServer,
  parseNetwork,
  parsePath,
  parsePattern,
  parsePeer,
  parsePresented,
  parsePresentedHost,
  parseRate,
  parseSize,
  parseWord,
} from './grammar.ts';
import { oneOf } from './mistake.ts';
import { parsePermitted } from './presets.ts';

/** Every message below is what was expected there; the reader of the issues adds where, and what was found. */
function map<Shape extends z.core.$ZodShape>(shape: Shape): z.ZodObject<Shape, z.core.$strict> {
  const expected = oneOf(Object.keys(shape));
  return z.strictObject(shape, { error: (issue) => (issue.code === 'unrecognized_keys' ? expected : 'a map') });
}

function text<Value>(expected: string, parse: (text: string) => Value | undefined) {
  const written = z.string({ error: expected }).meta({ description: expected });
  return written.transform((text, context): Value => {
    const value = parse(text);
    if (value !== undefined) return value;
    context.addIssue({ code: 'custom', message: expected });
    return z.NEVER;
  });
}

function list<Item extends z.ZodType>(item: Item) {
  return z.array(item, { error: 'a list' }).readonly();
}

function choice<const Choices extends readonly string[]>(...choices: Choices) {
  return z.enum(choices, { error: oneOf(choices) });
}

const address = text('an address such as "[::]:443", 0.0.0.0:443 or :5000', parseAddress);
const network = text('a network such as 192.0.2.0/24 or 2001:db8::/32', parseNetwork);
const allowed = map({
  address,
  allow: z.array(network, { error: 'a list' }).min(1, { error: 'at least one network' }).optional(),
}).transform(({ address: bound, allow }): ListenAddress => (allow === undefined ? bound : { ...bound, allow }));
const listener = z.union([address, allowed]);
const listeners = z
  .union([address, allowed, z.array(listener).min(1, { error: 'at least one address' })])
  .transform((written) => [written].flat() as readonly ListenAddress[] as AtLeastOne<ListenAddress>);
const proxy = text('an address or a network such as 127.0.0.1 or 192.0.2.0/24', parseNetwork);
const path = text('a path', parsePath);
const patterns = list(text('a repository pattern such as team/** or team/app-*', parsePattern));
const images = list(text('a pattern such as library/**, acme/app-* or acme/app:v*', parseImagePattern));
const peers = list(text('a host or host:port', parsePeer));
const hosts = list(text('a host name', parsePresentedHost));
const ip = text('an IP address', parseIp);

/** `0` needs no unit. */
const duration = z
  .preprocess((value) => (value === 0 ? '0s' : value), text('a duration such as 24h, 0s, 30d or 1h30m', parseDuration))
  .meta({ type: ['string', 'integer'], pattern: DURATION.source, maximum: 0, minimum: 0 });

/** A number needs no quotes; `0` needs no unit. */
const size = z.preprocess(
  (value) => (typeof value === 'number' ? String(value) : value),
  text('a size such as 100m, 50g or 0', parseSize),
);

const rate = z.preprocess(
  (value) => (typeof value === 'number' ? String(value) : value),
  text('bytes per second such as 1m or 200k, 16k at the least', parseBandwidth),
);

/** One address may stand without the brackets of a list. */
const addresses = z
  .preprocess((value) => (typeof value === 'string' ? [value] : value), list(ip))
  .meta({ type: ['string', 'array'] });

const account = {
  username: text('a user name as a string', (name) => name || undefined),
  passwordFile: path,
  serve: patterns.optional(),
};

export interface WrittenAccount {
  readonly repositories?: readonly string[] | undefined;
  readonly username: string;
  readonly passwordFile: string;
  readonly serve?: readonly string[] | undefined;
}

const PARALLEL = 'off, or a whole number from 2 to 8';

const upstream = map({
  hosts: list(text('a host name, or a wildcard such as *.azurecr.io', parsePresented)),
  authHosts: hosts,
  alias: text('a word of letters, digits, dots, hyphens and underscores', parseWord).nullish(),
  urls: z
    .array(text('an http or https URL without credentials, query and /v2', parseBaseUrl), { error: 'a list of URLs' })
    .min(1, { error: 'at least one URL' })
    .readonly(),
  ca: path.nullish(),
  clientCert: map({ chain: path, key: path }).nullish(),
  credentials: z
    .union([map(account), z.array(map({ repositories: patterns.optional(), ...account }))])
    .transform((written): readonly WrittenAccount[] => [written].flat())
    .nullish(),
  tokenHosts: peers,
  blobHosts: peers,
  tags: map({ ttl: duration, staleOnError: duration }),
  challenge: choice('relay', 'verbatim'),
  limit: map({
    requests: text('requests in a span of time such as 100/6h or 5/s', parseRate).nullish(),
    bandwidth: rate.nullish(),
  }).nullish(),
  parallel: z.union([z.literal('off'), z.int().min(2).max(8)], { error: PARALLEL }),
  allow: images.nullish(),
  deny: images,
  prefetch: choice('off', 'layers'),
  complete: choice('off', 'background'),
});

const SHARE = 'a share between 0 and 1';
const share = z.number({ error: SHARE }).gt(0, SHARE).max(1, SHARE);

const KEPT = 'a whole number from 0 to 1000';
const PROCESSES = 'a whole number from 1 to 64';

/** The configuration as written, defaults filled in. */
export const schema = map({
  processes: z.int({ error: PROCESSES }).min(1, PROCESSES).max(64, PROCESSES),
  listen: map({ https: listeners, http: listeners, admin: listeners, proxies: list(proxy) }),
  metrics: choice('admin', 'public'),
  page: choice('public', 'admin', 'off'),
  names: list(text('a host name or an IP address', parseHostOrIp)),
  certs: map({
    dir: path,
    permit: list(text('a name of the published list, or one below it', parsePermitted)),
    chain: path.nullish(),
    key: path.nullish(),
  }),
  storage: map({
    root: path,
    size,
    reserve: size,
    evict: map({ high: share, low: share }),
    keep: list(text('a pattern such as docker.io/library/** or ghcr.io/acme/app:v*', parseImagePattern)),
  }),
  dns: map({
    servers: list(text('an IP address or ip:port', parseNameServer)),
    pins: z.record(z.string(), addresses, { error: 'a map' }),
  }),
  log: map({
    level: choice('debug', 'info', 'warn', 'error'),
    access: map({
      file: path,
      format: choice('json', 'nginx'),
      maxSize: size,
      keep: z.int({ error: KEPT }).min(0, KEPT).max(1000, KEPT),
    }),
  }),
  mirror: map({ default: z.string({ error: 'a namespace of upstreams' }).nullish(), read: choice('anyone', 'users') }),
  hosted: map({
    repositories: patterns,
    push: choice('none', 'users', 'anyone'),
    read: choice('anyone', 'users'),
    delete: patterns,
  }),
  users: map({ file: path.nullish() }),
  grants: map({ offline: duration }),
  upstreams: z.record(z.string(), upstream.nullable(), { error: 'a map' }),
});

export type WrittenConfig = z.output<typeof schema>;
export type WrittenUpstream = z.output<typeof upstream>;
