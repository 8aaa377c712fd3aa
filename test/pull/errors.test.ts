import anyTest, { type TestFn } from 'ava';
import { makeBlob } from '../support/content.ts';
import { TestGateway } from '../support/gateway.ts';
import { makeImage } from '../support/image.ts';
import { type FakeUpstream, startUpstream } from '../support/upstream/upstream.ts';
import { type Door, urlOf } from './doors.ts';

interface Stage {
  readonly hub: FakeUpstream;
  readonly mcr: FakeUpstream;
  readonly gateway: TestGateway;
}

const test = anyTest as TestFn<Stage>;
const IMAGE = makeImage({ layers: [1000] });
const BLOB = makeBlob('ranged', 1000);
const ENCODED = makeBlob('encoded', 1000);
const FAILING = makeBlob('failing', 1000);
const NOWHERE = `sha256:${'0'.repeat(64)}`;
const DOWN = 'quay.io';

test.before(async (t) => {
  const hub = await startUpstream({ profile: 'hub', tls: false, users: { ada: 'of-ada' } });
  const mcr = await startUpstream({ profile: 'mcr', tls: false });
  const quay = await startUpstream({ profile: 'quay', tls: false });
  hub.add('library/nginx', IMAGE);
  hub.add('acme/secret', IMAGE, { access: ['ada'] });
  for (const blob of [BLOB, ENCODED, FAILING]) hub.addBlob('library/nginx', blob);
  hub.fault({ role: 'cdn', reference: ENCODED.digest }, { headers: { 'content-encoding': 'gzip' } });
  hub.fault({ role: 'cdn', reference: FAILING.digest }, { status: 503 });
  mcr.fault({}, { status: 429, headers: { 'retry-after': '30' } });
  const gateway = await TestGateway.start({ upstreams: [hub, mcr, quay] });
  await quay.close();
  Object.assign(t.context, { hub, mcr, gateway });
});

test.after.always(async ({ context: { gateway, hub, mcr } }) => {
  await gateway[Symbol.asyncDispose]();
  await Promise.all([hub.close(), mcr.close()]);
});

interface Case {
  readonly what: string;
  readonly door?: Door;
  readonly namespace?: string;
  readonly repository?: string;
  readonly rest: string;
  readonly method?: string;
  readonly range?: string;
  readonly status: number;
  readonly code: string;
}

const CASES: readonly Case[] = [
  { what: 'a blob that nobody has', rest: `blobs/${NOWHERE}`, status: 404, code: 'BLOB_UNKNOWN' },
  { what: 'a tag that nobody has', rest: 'manifests/none', status: 404, code: 'MANIFEST_UNKNOWN' },
  { what: 'a manifest that nobody has', rest: `manifests/${NOWHERE}`, status: 404, code: 'MANIFEST_UNKNOWN' },
  { what: 'a malformed digest', rest: 'blobs/sha256:abc', status: 400, code: 'DIGEST_INVALID' },
  { what: 'a malformed tag', rest: 'manifests/-no', status: 404, code: 'TAG_INVALID' },
  {
    what: 'a malformed name',
    repository: 'Library/Nginx',
    rest: 'manifests/latest',
    status: 400,
    code: 'NAME_INVALID',
  },
  {
    what: 'an unsatisfiable range',
    rest: `blobs/${BLOB.digest}`,
    range: 'bytes=1000-',
    status: 416,
    code: 'RANGE_INVALID',
  },
  { what: 'an inverted range', rest: `blobs/${BLOB.digest}`, range: 'bytes=5-0', status: 416, code: 'RANGE_INVALID' },
  { what: 'an encoded blob', rest: `blobs/${ENCODED.digest}`, status: 502, code: 'UNAVAILABLE' },
  { what: 'a blob whose host fails', rest: `blobs/${FAILING.digest}`, status: 504, code: 'UNAVAILABLE' },
  {
    what: 'a private repository on our own name',
    repository: 'acme/secret',
    rest: 'manifests/latest',
    status: 404,
    code: 'NAME_UNKNOWN',
  },
  {
    what: 'a private repository behind ns',
    door: 'mirror',
    repository: 'acme/secret',
    rest: 'manifests/latest',
    status: 404,
    code: 'NAME_UNKNOWN',
  },
  {
    what: 'a private repository by its own name',
    door: 'transparent',
    repository: 'acme/secret',
    rest: 'manifests/latest',
    status: 401,
    code: 'UNAUTHORIZED',
  },
  {
    what: 'an unknown ns',
    door: 'mirror',
    namespace: 'example.com',
    rest: 'manifests/latest',
    status: 404,
    code: 'NAME_UNKNOWN',
  },
  { what: 'an upstream that is away', namespace: DOWN, rest: 'manifests/latest', status: 504, code: 'UNAVAILABLE' },
  {
    what: 'a blob of an upstream that is away',
    namespace: DOWN,
    rest: `blobs/${BLOB.digest}`,
    status: 504,
    code: 'UNAVAILABLE',
  },
  {
    what: 'an upstream that limits requests',
    namespace: 'mcr.microsoft.com',
    rest: 'manifests/latest',
    status: 429,
    code: 'TOOMANYREQUESTS',
  },
  {
    what: 'a blob of an upstream that limits requests',
    namespace: 'mcr.microsoft.com',
    rest: `blobs/${BLOB.digest}`,
    status: 429,
    code: 'TOOMANYREQUESTS',
  },
];

for (const {
  what,
  door = 'path',
  namespace = 'docker.io',
  repository = 'library/nginx',
  rest,
  range,
  status,
  code,
} of CASES) {
  for (const method of ['GET', 'HEAD']) {
    if (method === 'HEAD' && range !== undefined) continue;
    test(`${method} of ${what} is ${status} ${method === 'GET' ? `with ${code}` : 'without a body'}`, async (t) => {
      const { gateway } = t.context;
      const url = urlOf(gateway, door, namespace, repository, rest);
      const answer = await gateway.client.request(url, { method, headers: range === undefined ? {} : { range } });
      const isUnreadHead = method === 'HEAD' && (what === 'an encoded blob' || what === 'a blob whose host fails');
      if (isUnreadHead) return t.true([200, 502, 504].includes(answer.status));
      t.is(answer.status, status);
      t.regex(String(answer.headers['cache-status']), /^Layover; /);
      t.is(answer.headers['docker-distribution-api-version'], 'registry/2.0');
      if (status === 429) t.regex(answer.headers['retry-after'] ?? '', /^\d+$/);
      if (method === 'HEAD') return t.is(answer.length, 0);
      t.is(answer.headers['content-type'], 'application/json');
      t.is(answer.headers['content-length'], String(answer.length));
      const { errors } = JSON.parse(answer.body.toString()) as { errors: { code: string; message: string }[] };
      t.is(errors[0]?.code, code);
      t.is(typeof errors[0]?.message, 'string');
      return undefined;
    });
  }
}
