import { Readable } from 'node:stream';
import test from 'ava';
import { Bandwidth, type Clock } from '../../src/upstream/bandwidth.ts';

/** A clock that goes ahead when everything that can happen now has happened. */
class VirtualClock implements Clock {
  #now = 0;
  readonly #calls: { readonly at: number; readonly call: () => void }[] = [];

  now(): number {
    return this.#now;
  }

  after(milliseconds: number, call: () => void): void {
    this.#calls.push({ at: this.#now + milliseconds, call });
    this.#calls.sort((a, b) => a.at - b.at);
  }

  /** Goes on for so many milliseconds. */
  async run(milliseconds: number): Promise<void> {
    const end = this.#now + milliseconds;
    await settled();
    for (let next = this.#calls[0]; next !== undefined && next.at <= end; next = this.#calls[0]) {
      this.#calls.shift();
      this.#now = next.at;
      next.call();
      await settled();
    }
    this.#now = end;
  }
}

function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
}

const RATE = 1 << 20;

interface Download {
  received: number;
  done: number | undefined;
}

/** A body of so many bytes, read as fast as it comes. */
function begin(line: Bandwidth, clock: Clock, bytes: number): Download {
  const download: Download = { received: 0, done: undefined };
  const chunks = Array.from({ length: Math.ceil(bytes / 50_000) }, (_, at) => Math.min(50_000, bytes - at * 50_000));
  const body = line.pace(Readable.from(chunks.map((length) => Buffer.alloc(length))));
  body.on('data', (chunk: Buffer) => {
    download.received += chunk.length;
  });
  body.on('end', () => {
    download.done = clock.now();
  });
  return download;
}

function open(): { readonly clock: VirtualClock; readonly line: Bandwidth } {
  const clock = new VirtualClock();
  const line = new Bandwidth(clock);
  line.rate = RATE;
  return { clock, line };
}

test('two downloads share the line alike, and together never have more than it holds', async (t) => {
  const { clock, line } = open();
  const [one, other] = [begin(line, clock, 20 * RATE), begin(line, clock, 20 * RATE)];
  for (let second = 1; second <= 5; second++) {
    await clock.run(1000);
    const sum = one.received + other.received;
    t.true(sum <= RATE * (second + 0.1) && sum >= RATE * (second - 0.2), `${sum} bytes after ${second} s`);
    t.true(Math.abs(one.received - other.received) <= 0.05 * sum);
  }
});

test('a small download that begins late is not starved by a big one', async (t) => {
  const { clock, line } = open();
  const big = [begin(line, clock, 50 * RATE), begin(line, clock, 50 * RATE), begin(line, clock, 50 * RATE)];
  await clock.run(3000);
  const small = begin(line, clock, RATE / 4);
  await clock.run(1300);
  t.truthy(small.done, `${small.received} bytes after 1.3 s, where a quarter of the line brings it in 1 s`);
  t.true(big.every(({ received }) => received > RATE));
});

test('a pause earns a tenth of a second, not all that was not used', async (t) => {
  const { clock, line } = open();
  await clock.run(60_000);
  const late = begin(line, clock, 20 * RATE);
  await clock.run(1000);
  t.true(late.received <= 1.11 * RATE, `${late.received}`);
});

test('a rate that changes holds at once, and without one nothing waits', async (t) => {
  const { clock, line } = open();
  const download = begin(line, clock, 50 * RATE);
  await clock.run(1000);
  line.rate = 4 * RATE;
  const before = download.received;
  await clock.run(1000);
  t.true(download.received - before > 3 * RATE);
  line.rate = RATE / 64;
  const slow = download.received;
  await clock.run(20_000);
  t.true(download.received > slow && download.received - slow < 0.4 * RATE);
  line.rate = undefined;
  while (download.done === undefined) await clock.run(10);
  t.is(download.received, 50 * RATE);
  const body = Readable.from([]);
  t.is(line.pace(body), body);
});

test('a reader that leaves ends the body behind it, and a body that breaks ends the reader', async (t) => {
  const { clock, line } = open();
  const body = Readable.from(Array.from({ length: 100 }, () => Buffer.alloc(50_000)));
  const left = line.pace(body);
  left.destroy();
  await clock.run(1000);
  t.true(body.destroyed);
  const broken = line.pace(
    Readable.from(
      (async function* () {
        yield Buffer.alloc(10);
        throw new Error('broken');
      })(),
    ),
  );
  const error = new Promise((resolve) => broken.once('error', resolve));
  broken.resume();
  await clock.run(1000);
  t.like(await error, { message: 'broken' });
});
