/** A request with another one hidden in it, or beside it. */
export interface Vector {
  readonly name: string;
  readonly over: 'plain' | 'tls';
  readonly bytes: Buffer;
  /** Stands in the path of the hidden request. */
  readonly marker: string;
  /** Stands in the path of the request itself. */
  readonly own: string;
  /** How often the upstream may be asked for what the request itself names: a manifest is looked up and fetched. */
  readonly most: number;
  /** Has to be refused, with the connection. */
  readonly isAmbiguous: boolean;
  /** Hides nothing: the upstream has to see both requests, or this harness is blind. */
  readonly isControl: boolean;
}

interface Draft {
  readonly name: string;
  readonly method: string;
  /** Fields beside Host, each with its line end. */
  readonly fields: string;
  readonly body: string;
  readonly ambiguous?: boolean;
  /** Instead of `METHOD target HTTP/1.1`. */
  readonly line?: (target: string) => string;
  /** Instead of the Host field. */
  readonly host?: (host: string) => string;
  readonly control?: boolean;
}

const CRLF = '\r\n';

/** Lines that some readers take for `Transfer-Encoding: chunked`; `known`: all readers see a Transfer-Encoding. */
const CODINGS: readonly (readonly [line: string, known: boolean])[] = [
  ['Transfer-Encoding: chunked', true],
  ['Transfer-Encoding: CHUNKED', true],
  ['transfer-encoding:chunked', true],
  ['Transfer-Encoding: xchunked', true],
  ['Transfer-Encoding: chunkedx', true],
  ['Transfer-Encoding: chunk', true],
  ['Transfer-Encoding: "chunked"', true],
  ["Transfer-Encoding: 'chunked'", true],
  ['Transfer-Encoding: chunked;q=1', true],
  ['Transfer-Encoding: chunked, identity', true],
  ['Transfer-Encoding: identity, chunked', true],
  ['Transfer-Encoding: identity', true],
  ['Transfer-Encoding: gzip, chunked', true],
  ['Transfer-Encoding: chunked, chunked', true],
  ['Transfer-Encoding: ,chunked', true],
  ['Transfer-Encoding: chunked,', true],
  ['Transfer-Encoding: cow', true],
  ['Transfer-Encoding:', true],
  ['Transfer-Encoding: chunked\r\nTransfer-Encoding: x', true],
  ['Transfer-Encoding: x\r\nTransfer-Encoding: chunked', true],
  ['Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked', true],
  ['Transfer-Encoding: \x0bchunked', true],
  ['Transfer-Encoding: chunked\x0b', true],
  ['Transfer-Encoding: \x00chunked', true],
  ['Transfer-Encoding: chunked\x00', true],
  ['Transfer-Encoding: \xa0chunked', true],
  ['Transfer-Encoding:\r\n chunked', true],
  ['Transfer-Encoding:\n chunked', true],
  ['Transfer-Encoding : chunked', true],
  ['Transfer-Encoding\t: chunked', true],
  [' Transfer-Encoding: chunked', true],
  ['X: x\nTransfer-Encoding: chunked', true],
  ['X: x\rTransfer-Encoding: chunked', true],
  ['\x00Transfer-Encoding: chunked', true],
  ['Transfer-Encoding\x00: chunked', true],
  ['Transfer Encoding: chunked', true],
  ['Transfer_Encoding: chunked', false],
  ['X-Transfer-Encoding: chunked', false],
  ['TE: chunked', false],
  ['Connection: Transfer-Encoding\r\nTransfer_Encoding: chunked', false],
];

/** What stands for the length `n` of a body and is not `Content-Length: n`. */
const LENGTHS: readonly ((n: number) => string)[] = [
  (n) => `Content-Length: +${n}`,
  (n) => `Content-Length: -${n}`,
  (n) => `Content-Length: 0x${n.toString(16)}`,
  (n) => `Content-Length: 0${n.toString(8)}o`,
  (n) => `Content-Length: ${n}, ${n}`,
  (n) => `Content-Length: ${n}, 0`,
  (n) => `Content-Length: 0, ${n}`,
  (n) => `Content-Length: ${n} ${n}`,
  (n) => `Content-Length: ${n};`,
  (n) => `Content-Length: ${n}.0`,
  (n) => `Content-Length: ${n}e0`,
  (n) => `Content-Length: ${n}_0`,
  (n) => `Content-Length: "${n}"`,
  (n) => `Content-Length: ${n}\x00`,
  (n) => `Content-Length: \x0b${n}`,
  (n) => `Content-Length: \xa0${n}`,
  () => 'Content-Length:',
  () => 'Content-Length: 92233720368547758080',
  () => 'Content-Length: 18446744073709551617',
  (n) => `Content-Length: ${n}\r\nContent-Length: ${n}`,
  (n) => `Content-Length: ${n}\r\nContent-Length: 0`,
  (n) => `Content-Length: 0\r\nContent-Length: ${n}`,
  (n) => `Content-Length : ${n}`,
  (n) => `Content-Length\t: ${n}`,
  (n) => ` Content-Length: ${n}`,
  (n) => `Content-Length:\r\n ${n}`,
  (n) => `X: x\nContent-Length: ${n}`,
  (n) => `X: x\rContent-Length: ${n}`,
  (n) => `Content-Length\x00: ${n}`,
  (n) => `Content Length: ${n}`,
];

/** Chunked bodies that readers may end at different places; `hidden` is the request to hide. */
const CHUNKS: readonly ((hidden: string) => string)[] = [
  (hidden) => `0x0${CRLF}${CRLF}${hidden}`,
  (hidden) => `+0${CRLF}${CRLF}${hidden}`,
  (hidden) => `-0${CRLF}${CRLF}${hidden}`,
  (hidden) => `-1${CRLF}${CRLF}${hidden}`,
  (hidden) => ` 0${CRLF}${CRLF}${hidden}`,
  (hidden) => `0 ${CRLF}${CRLF}x${CRLF}${hidden}`,
  (hidden) => `0\n\n${hidden}`,
  (hidden) => `0\n\r\n${hidden}`,
  (hidden) => `0\r\r\n${hidden}`,
  (hidden) => `0${CRLF}\n${hidden}`,
  (hidden) => `${CRLF}0${CRLF}${CRLF}${hidden}`,
  (hidden) => `2;a\nxx${CRLF}${hidden.length.toString(16)}${CRLF}0${CRLF}${CRLF}${hidden}`,
  (hidden) => `2;a=\r;b\nxx\r\n0\r\n\r\n${hidden}`,
  (hidden) => `2;\nxx\r\n4c\r\n0\r\n\r\n${hidden}`,
  (hidden) => `1${CRLF}xx0${CRLF}${CRLF}${hidden}`,
  (hidden) => `1${CRLF}x0${CRLF}${CRLF}${hidden}`,
  (hidden) => `3${CRLF}xxx${hidden}`,
  (hidden) => `ffffffffffffffff0${CRLF}${CRLF}${hidden}`,
  (hidden) => `10000000000000000${CRLF}${CRLF}${hidden}`,
  (hidden) => `g${CRLF}${CRLF}${hidden}`,
  (hidden) => `${CRLF}${CRLF}${hidden}`,
  (hidden) => `1_0${CRLF}${CRLF}${hidden}`,
  (hidden) => `0;${'a'.repeat(40_000)}${CRLF}${CRLF}${hidden}`,
  (hidden) => `0${CRLF}Content-Length: 5\nX: ${hidden}`,
  (hidden) => `0${CRLF}X : y${CRLF}${CRLF}${hidden}`,
  (hidden) => `0${CRLF} folded${CRLF}${CRLF}${hidden}`,
];

const CHUNKED = `Transfer-Encoding: chunked${CRLF}`;

function* drafts(hidden: string): Generator<Draft> {
  const end = `0${CRLF}${CRLF}${hidden}`;
  const chunk = `${hidden.length.toString(16)}${CRLF}${hidden}${CRLF}0${CRLF}${CRLF}`;
  for (const method of ['GET', 'POST']) {
    yield* codings(method, end, chunk);
    for (const length of LENGTHS) {
      const fields = `${length(end.length)}${CRLF}`;
      yield { name: `${method} ${fields}`, method, fields, body: end, ambiguous: true };
    }
    for (const make of CHUNKS) {
      const body = make(hidden);
      yield { name: `${method} chunks ${body.slice(0, 12)}`, method, fields: CHUNKED, body, ambiguous: true };
    }
    yield* heads(method, hidden, end);
  }
  for (const method of ['GET', 'HEAD', 'DELETE', 'OPTIONS', 'TRACE']) {
    const length = `Content-Length: ${hidden.length}${CRLF}`;
    yield { name: `${method} with a body`, method, fields: length, body: hidden, ambiguous: true };
    yield { name: `${method} with chunks`, method, fields: CHUNKED, body: chunk, ambiguous: true };
    for (const expect of ['100-continue', '100-Continue', 'x', '100-continue, x']) {
      const fields = `${length}Expect: ${expect}${CRLF}`;
      yield { name: `${method} expects ${expect}`, method, fields, body: hidden, ambiguous: true };
    }
  }
  const length = `Content-Length: ${hidden.length}${CRLF}`;
  for (const method of ['POST', 'PUT', 'PATCH']) {
    yield { name: `${method} of a request`, method, fields: length, body: hidden };
    yield { name: `${method} of a request in a chunk`, method, fields: CHUNKED, body: chunk };
    yield { name: `${method} expecting`, method, fields: `${length}Expect: 100-continue${CRLF}`, body: hidden };
    yield { name: `${method} expecting x`, method, fields: `${length}Expect: x${CRLF}`, body: hidden, ambiguous: true };
  }
  yield { name: 'two honest requests', method: 'GET', fields: '', body: hidden, control: true };
}

function* codings(method: string, end: string, chunk: string): Generator<Draft> {
  for (const [line, known] of CODINGS) {
    const isPlain = /^transfer-encoding: ?chunked$/i.test(line);
    const coding = `${line}${CRLF}`;
    const all = `Content-Length: ${end.length}${CRLF}`;
    // In the middle of the chunk's size: whoever believes it goes on with what is no request.
    const few = `Content-Length: 1${CRLF}`;
    const forms: readonly (readonly [fields: string, body: string])[] = [
      [all + coding, end],
      [coding + all, end],
      [few + coding, chunk],
      [coding + few, chunk],
    ];
    for (const [fields, body] of forms) {
      const ambiguous = known || method === 'GET';
      yield { name: `${method} ${fields}`, method, fields, body, ambiguous };
    }
    // A plain one without a length is an honest body of nothing, and another request behind it.
    if (!isPlain) yield { name: `${method} ${coding}`, method, fields: coding, body: end, ambiguous: known };
  }
}

function* heads(method: string, hidden: string, end: string): Generator<Draft> {
  const length = `Content-Length: ${end.length}${CRLF}`;
  const base = { method, fields: length, body: end, ambiguous: true };
  const many = 'a: 1\r\n'.repeat(2_500);
  yield {
    ...base,
    name: `${method} with its length behind 2,500 fields`,
    fields: many + length,
    ambiguous: method === 'GET',
  };
  yield { ...base, name: `${method} with its coding behind 2,500 fields`, fields: many + CHUNKED + length };
  const lines: Readonly<Record<string, (target: string) => string>> = {
    'a second blank': (target) => `${method}  ${target} HTTP/1.1`,
    'a tab': (target) => `${method}\t${target}\tHTTP/1.1`,
    'more behind it': (target) => `${method} ${target} HTTP/1.1 x`,
    'no version': (target) => `${method} ${target}`,
    'HTTP/1.0 and chunks': (target) => `${method} ${target} HTTP/1.0`,
    'HTTP/2.0': (target) => `${method} ${target} HTTP/2.0`,
    'HTTP/1.2': (target) => `${method} ${target} HTTP/1.2`,
    'http/1.1': (target) => `${method} ${target} http/1.1`,
    'a small method': (target) => `${method.toLowerCase()} ${target} HTTP/1.1`,
    'a line feed in the target': (target) => `${method} ${target}\nX: y HTTP/1.1`,
    'a carriage return': (target) => `${method} ${target}\r HTTP/1.1`,
    'a NUL': (target) => `${method} ${target}\x00 HTTP/1.1`,
    'a request in the target': (target) =>
      `${method} ${target}%20HTTP/1.1%0d%0a${encodeURIComponent(hidden)} HTTP/1.1 x`,
    'a bare line feed': (target) => `${method} ${target} HTTP/1.1\nX: y`,
  };
  for (const [what, line] of Object.entries(lines)) {
    const fields = what === 'HTTP/1.0 and chunks' ? CHUNKED + length : length;
    const ambiguous = method === 'GET' || what !== 'a second blank';
    yield { ...base, name: `${method} with ${what} in its first line`, line, fields, ambiguous };
  }
  const hosts: Readonly<Record<string, (host: string) => string>> = {
    'two hosts': (host) => `Host: ${host}\r\nHost: x`,
    'the same host twice': (host) => `Host: ${host}\r\nHost: ${host}`,
    'no host': () => 'X: y',
    'a list of hosts': (host) => `Host: ${host}, x`,
    'a folded host': (host) => `Host: ${host}\r\n x`,
    'a host with a path': (host) => `Host: ${host}/x`,
  };
  for (const [what, host] of Object.entries(hosts)) yield { ...base, name: `${method} with ${what}`, host };
}

/** All of them, over both doors; `seed` makes their names new. */
export function vectors(seed: string): Vector[] {
  const all: Vector[] = [];
  for (const over of ['plain', 'tls'] as const) {
    const namespace = over === 'plain' ? '/quay.io' : '';
    const host = over === 'plain' ? 'gateway.lan' : 'quay.io';
    const makers = [...drafts('x')].keys();
    for (const index of makers) {
      const [marker, own] = [`smuggled-${seed}-${over}-${index}`, `asked-${seed}-${over}-${index}`];
      const hidden = `GET /v2${namespace}/library/${marker}/manifests/latest HTTP/1.1${CRLF}Host: ${host}${CRLF}${CRLF}`;
      const draft = [...drafts(hidden)][index];
      if (draft === undefined) continue;
      const { method, fields, body, ambiguous = false, control = false } = draft;
      const kind = method === 'POST' || method === 'PATCH' ? 'blobs/uploads/' : 'manifests/latest';
      const target = `/v2${namespace}/library/${own}/${kind}`;
      const line = draft.line?.(target) ?? `${method} ${target} HTTP/1.1`;
      const text = `${line}${CRLF}${draft.host?.(host) ?? `Host: ${host}`}${CRLF}${fields}${CRLF}${body}`;
      const most = method === 'GET' || method === 'HEAD' ? 2 : 1;
      const bytes = Buffer.from(text, 'latin1');
      all.push({ name: draft.name, over, bytes, marker, own, most, isAmbiguous: ambiguous, isControl: control });
    }
  }
  return all;
}
