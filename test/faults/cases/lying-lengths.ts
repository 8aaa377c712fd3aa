import { setTimeout as sleep } from 'node:timers/promises';
import { type Blob, makeBlob, toBytes } from '../../support/content.ts';
import type { FaultCase, Report, Run } from '../case.ts';
import { publishedIn, within } from '../oracles.ts';
import { RawRegistry, type RawRequest } from '../raw-registry.ts';
import { judge, Scene } from '../scene.ts';

/** What an upstream sends instead of `size` bytes of an honest answer. */
interface Lie {
  /** Text of the head after the status line, without the empty line. */
  readonly head: (size: number) => string;
  readonly status?: string;
  readonly body?: (bytes: Buffer) => Buffer;
  /** Sent a moment after the answer, on the same connection. */
  readonly later?: string;
  /** Ends the connection after the body. */
  readonly closes?: boolean;
  /** Whoever is told this can no longer know where the next answer on this connection begins. */
  readonly poisons?: boolean;
  /** For the answer to HEAD. */
  readonly headSize?: (size: number) => number;
  /** Takes the gateway's patience, half a minute for each of five attempts: too long for every change, and every run. */
  readonly isSlow?: boolean;
  /** The first request is cut after half, so that the lie is told to one with a Range. */
  readonly resumed?: boolean;
}

/** Milliseconds; longer than the gateway's. */
const PATIENCE = 300_000;
const EVIL = 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Type: application/json\r\n\r\nevil';
const length = (value: string): string => `Content-Length: ${value}`;
const honest = (size: number): string => length(`${size}`);
const chunk = (bytes: Buffer, size = bytes.length.toString(16)): Buffer =>
  Buffer.concat([Buffer.from(`${size}\r\n`), bytes, Buffer.from('\r\n')]);
const LAST = Buffer.from('0\r\n\r\n');
const chunked = (bytes: Buffer): Buffer => Buffer.concat([chunk(bytes), LAST]);
const CHUNKED = (): string => 'Transfer-Encoding: chunked';
const more = (bytes: Buffer, text = EVIL): Buffer => Buffer.concat([bytes, Buffer.from(text)]);

const LIES: Readonly<Record<string, Lie>> = {
  'too long, then the end': { head: (n) => length(`${n + 10}`), closes: true },
  'too long, then silence': { head: (n) => length(`${n + 10}`), poisons: true, isSlow: true },
  'too short': { head: (n) => length(`${Math.max(0, n - 10)}`), poisons: true },
  'one byte short': { head: honest, body: (bytes) => bytes.subarray(0, -1), closes: true },
  'two equal lengths': { head: (n) => `${honest(n)}\r\n${honest(n)}`, poisons: true },
  'two lengths': { head: (n) => `${honest(n)}\r\n${length(`${n + 1}`)}`, poisons: true },
  'a list of lengths': { head: (n) => length(`${n}, ${n}`), poisons: true },
  'a length with a plus': { head: (n) => length(`+${n}`), poisons: true },
  'a length below zero': { head: () => length('-1'), poisons: true },
  'a hexadecimal length': { head: (n) => length(`0x${n.toString(16)}`), poisons: true },
  'an empty length': { head: () => length(''), poisons: true },
  'a length beyond all numbers': { head: () => length('92233720368547758070'), poisons: true },
  'a folded length': { head: (n) => `Content-Length:\r\n ${n}`, poisons: true },
  'a length and chunks': { head: (n) => `${honest(n)}\r\n${CHUNKED()}`, body: chunked, poisons: true },
  'chunks without the last': { head: CHUNKED, body: (bytes) => chunk(bytes), closes: true },
  'chunks of a wrong size': {
    head: CHUNKED,
    body: (bytes) => Buffer.concat([chunk(bytes, 'zz'), LAST]),
    poisons: true,
  },
  'chunks and another answer': { head: CHUNKED, body: (bytes) => more(chunked(bytes)), poisons: true },
  'another answer behind it': { head: honest, body: (bytes) => more(bytes), poisons: true },
  'another answer a moment later': { head: honest, later: EVIL, poisons: true },
  'no length and the end': { head: () => 'Connection: close', closes: true },
  '206 to a request for the whole': {
    status: '206 Partial Content',
    head: (n) => `${honest(n)}\r\nContent-Range: bytes 0-${n - 1}/${n}`,
  },
  '206 with the first half': {
    status: '206 Partial Content',
    head: (n) => `${honest(n >> 1)}\r\nContent-Range: bytes 0-${(n >> 1) - 1}/${n}`,
    body: (bytes) => bytes.subarray(0, bytes.length >> 1),
  },
  'several ranges': {
    status: '206 Partial Content',
    head: (n) => `${honest(n)}\r\nContent-Type: multipart/byteranges; boundary=x`,
  },
  '204 with a body': { status: '204 No Content', head: honest, poisons: true },
  '304 with a body': { status: '304 Not Modified', head: honest, poisons: true },
  '101 to a GET': { status: '101 Switching Protocols', head: () => 'Connection: upgrade\r\nUpgrade: x', poisons: true },
  'an early hint first': { status: '103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK', head: honest },
  'another size at HEAD': { head: honest, headSize: (n) => n + 7 },
  'compressed, it says': { head: (n) => `${honest(n)}\r\nContent-Encoding: gzip` },
  'the whole instead of the rest': { resumed: true, head: honest },
  'another range than the rest': {
    resumed: true,
    status: '206 Partial Content',
    head: (n) => `${honest(n)}\r\nContent-Range: bytes 0-${n - 1}/${n}`,
  },
  'the rest of something longer': {
    resumed: true,
    status: '206 Partial Content',
    head: (n) => `${honest(n)}\r\nContent-Range: bytes ${n >> 1}-${n + (n >> 1) - 1}/${2 * n}`,
  },
};

/** Answers whose length is not what they say, told by an upstream that speaks TCP and nothing better. */
export const lyingLengths: FaultCase = {
  name: 'lying-lengths',
  shows: `${Object.keys(LIES).length} lies about the length of an answer: no complete wrong body, nothing wrong stored, no connection used on`,
  runs: { quick: 2, full: 50 },
  async play(report) {
    const liar = await Liar.start(report);
    await using registry = liar.registry;
    const settings = { urls: [`http://${registry.authority}`], tokenHosts: [], blobHosts: [] };
    await using scene = await Scene.open(report, { further: { 'quay.io': settings } });
    let told = 0;
    for (const run of report.runs()) {
      const tellsSlow = !report.isQuick && run.index === 0;
      const names = Object.keys(LIES).filter((name) => tellsSlow || LIES[name]?.isSlow !== true);
      await Promise.all(names.map((name) => endure(scene, liar, name, run, report)));
      told += names.length;
    }
    report.note(`${told} lies; of them ended right: ${[...liar.right].sort().join(', ')}`);
    for (const oddity of registry.oddities) report.violation(`the gateway sent ${oddity}`);
    registry.hangUp();
    await scene.verify();
  },
};

class Liar {
  readonly blobs = new Map<string, { readonly bytes: Buffer; lie: Lie | undefined; asked: number }>();
  /** Lies after which the first pull was right. */
  readonly right = new Set<string>();
  readonly #report: Report;
  readonly #poisoned = new WeakMap<object, string>();
  #registry: RawRegistry | undefined;

  private constructor(report: Report) {
    this.#report = report;
  }

  static async start(report: Report): Promise<Liar> {
    const liar = new Liar(report);
    liar.#registry = await RawRegistry.start((request) => void liar.#answer(request));
    return liar;
  }

  get registry(): RawRegistry {
    if (this.#registry === undefined) throw new Error('not started');
    return this.#registry;
  }

  async #answer({ method, target, head, socket }: RawRequest): Promise<void> {
    const poison = this.#poisoned.get(socket);
    if (poison !== undefined) this.#report.violation(`the connection of “${poison}” was used again`);
    const blob = this.blobs.get(target.split('/').at(-1) ?? '');
    if (blob === undefined) return void socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}');
    const { bytes } = blob;
    const size = bytes.length;
    if (method === 'HEAD') {
      return void socket.write(`HTTP/1.1 200 OK\r\n${honest(blob.lie?.headSize?.(size) ?? size)}\r\n\r\n`);
    }
    const { lie } = blob;
    blob.asked++;
    if (lie?.resumed === true && blob.asked === 1) {
      socket.write(`HTTP/1.1 200 OK\r\n${honest(size)}\r\n\r\n`);
      socket.write(bytes.subarray(0, size >> 1));
      await sleep(100);
      return void socket.end();
    }
    const from = Number(/^range: bytes=(\d+)-/im.exec(head)?.[1] ?? 0);
    if (lie === undefined && from >= size) {
      return void socket.write(
        `HTTP/1.1 416 Range Not Satisfiable\r\nContent-Range: bytes */${size}\r\nContent-Length: 0\r\n\r\n`,
      );
    }
    if (lie === undefined && from > 0) {
      const range = `Content-Range: bytes ${from}-${size - 1}/${size}`;
      socket.write(`HTTP/1.1 206 Partial Content\r\n${honest(size - from)}\r\n${range}\r\n\r\n`);
      return void socket.write(bytes.subarray(from));
    }
    if (lie === undefined) {
      socket.write(`HTTP/1.1 200 OK\r\n${honest(size)}\r\n\r\n`);
      return void socket.write(bytes);
    }
    socket.write(`HTTP/1.1 ${lie.status ?? '200 OK'}\r\n${lie.head(size)}\r\n\r\n`);
    socket.write(lie.body?.(bytes) ?? bytes);
    if (lie.poisons === true) {
      const name = Object.keys(LIES).find((key) => LIES[key] === lie) ?? '';
      // What was sent in the meantime crossed the lie on the wire.
      setTimeout(() => this.#poisoned.set(socket, name), lie.later === undefined ? 0 : 100);
    }
    if (lie.later !== undefined) setTimeout(() => socket.write(lie.later ?? ''), 50);
    if (lie.closes === true) socket.end();
  }
}

async function endure(scene: Scene, liar: Liar, name: string, { seed, random }: Run, report: Report): Promise<void> {
  const blob = makeBlob(`${seed} ${name}`, random.pick([500, 70_000, 400_000]));
  const told: { readonly bytes: Buffer; lie: Lie | undefined; asked: number } = {
    bytes: toBytes(blob.content),
    lie: LIES[name],
    asked: 0,
  };
  liar.blobs.set(blob.digest, told);
  const first = await pull(scene, blob, name, report);
  if (first === 'right') liar.right.add(name);
  const stored = (await publishedIn(scene.gateway.data)).some(({ digest }) => digest === blob.digest);
  if (first !== 'right' && stored) report.violation(`“${name}” is stored after ${JSON.stringify(first)}`);
  told.lie = undefined;
  const again = await pull(scene, blob, name, report);
  report.expect(again === 'right', `after “${name}” the next pull is ${JSON.stringify(again)}`);
  const settled = await within(60_000, async () =>
    (await publishedIn(scene.gateway.data)).some(({ digest }) => digest === blob.digest),
  );
  report.expect(settled, `after “${name}” the blob is not stored in the end`);
}

async function pull(scene: Scene, { digest }: Blob, name: string, report: Report) {
  const url = `${scene.gateway.own}/v2/quay.io/library/app/blobs/${digest}`;
  const answer = await scene.client.request(url, { timeout: PATIENCE }).catch((error: Error) => error);
  if (answer instanceof Error) {
    report.violation(`“${name}”: no answer: ${answer.message}`);
    return 'unreachable';
  }
  const outcome = judge(answer, digest);
  if (outcome === 'wrong') report.violation(`“${name}”: a complete wrong body of ${answer.length} bytes`);
  if (outcome === 'right') report.latency(answer.totalMs);
  return outcome;
}
