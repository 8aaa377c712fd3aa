import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { readdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs';
import { rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { FileClaims } from '../../src/store/file-claims.ts';
import { claimsConformance, QUICK } from './claims-conformance.ts';
import { directoryOf } from './directory.ts';

claimsConformance('file', (t, times) => new FileClaims(join(directoryOf(t), 'claims'), times));

interface Contender {
  readonly process: ChildProcess;
  acquire(): Promise<string | undefined>;
}

async function contender(t: ExecutionContext, directory: string): Promise<Contender> {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'claim-holder.ts'), directory], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  t.teardown(() => child.kill('SIGKILL'));
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  await lines.next();
  return {
    process: child,
    acquire: async () => {
      child.stdin.write('\n');
      return (await lines.next()).value as string | undefined;
    },
  };
}

async function kill({ process: child }: Contender): Promise<void> {
  child.kill('SIGKILL');
  await once(child, 'exit');
}

test('the claim of a killed process is free at once, for exactly one of those who wait', async (t) => {
  const directory = directoryOf(t);
  const [holder, ...waiting] = await Promise.all(Array.from({ length: 4 }, () => contender(t, directory)));
  t.is(await holder?.acquire(), 'held');
  for (const one of waiting) t.is(await one.acquire(), 'busy');
  t.is(await new FileClaims(directory).acquire('fills/a'), undefined);
  if (holder !== undefined) await kill(holder);
  const results = await Promise.all(waiting.map((one) => one.acquire()));
  t.deepEqual(results.sort(), ['busy', 'busy', 'held']);
  t.is(readdirSync(directory).length, 1);
});

test('what was noted before the machine was started again is worth nothing', async (t) => {
  for (const [boot, left] of [
    [undefined, 'words'],
    ['earlier', undefined],
  ]) {
    const directory = directoryOf(t);
    const holder = await contender(t, directory);
    await holder.acquire();
    const path = join(directory, readdirSync(directory)[0] ?? '');
    const stored = JSON.parse(readFileSync(path, 'utf8')) as object;
    await kill(holder);
    const text = JSON.stringify(boot === undefined ? stored : { ...stored, boot });
    writeFileSync(path, Buffer.concat([Buffer.from(text), Buffer.alloc(1024 - text.length), Buffer.from('words')]));
    if (boot !== undefined) utimesSync(path, Date.now() / 1000 - 11, Date.now() / 1000 - 11);
    const claim = await new FileClaims(directory).acquire('fills/a');
    t.is(claim?.left && `${Buffer.from(claim.left)}`, left);
  }
});

/** Writes a claim as another process would have and gives its path. */
async function claimOf(directory: string, change: object): Promise<string> {
  const claim = await new FileClaims(directory).acquire('a');
  const [name = ''] = readdirSync(directory);
  const path = join(directory, name);
  const stored = JSON.parse(readFileSync(path, 'utf8')) as object;
  await claim?.release();
  writeFileSync(path, JSON.stringify({ ...stored, id: randomUUID(), uuid: randomUUID(), ...change }));
  return path;
}

test('a claim is judged by where its holder ran', async (t) => {
  const cases: [what: string, change: object, free: boolean][] = [
    ['our process number, from before this process had it', {}, true],
    ['a process number that nobody has', { pid: 2 ** 22 + 1 }, true],
    ['a living process', { pid: process.ppid, started: undefined }, false],
    [
      'a process number that somebody else has by now',
      { pid: process.ppid, started: '1' },
      process.platform === 'linux',
    ],
    ['another host', { pid: 2 ** 22 + 1, host: 'elsewhere' }, false],
    ['an earlier boot', { pid: 2 ** 22 + 1, boot: 'earlier' }, false],
  ];
  for (const [what, change, free] of cases) {
    const directory = directoryOf(t);
    const path = await claimOf(directory, change);
    t.is((await new FileClaims(directory).acquire('a')) !== undefined, free, what);
    if (free) continue;
    utimesSync(path, Date.now() / 1000 - 11, Date.now() / 1000 - 11);
    t.truthy(await new FileClaims(directory).acquire('a'), `${what}, ten seconds without progress`);
  }
});

test('a claim that a power cut damaged is free after ten seconds', async (t) => {
  const directory = directoryOf(t);
  const path = await claimOf(directory, {});
  writeFileSync(path, '');
  t.is(await new FileClaims(directory).acquire('a'), undefined);
  utimesSync(path, Date.now() / 1000 - 11, Date.now() / 1000 - 11);
  t.truthy(await new FileClaims(directory).acquire('a'));
});

test('a take-over that was killed half-way is finished by another process', async (t) => {
  const directory = directoryOf(t);
  const id = randomUUID();
  const path = await claimOf(directory, { id });
  const dead = JSON.parse(readFileSync(path, 'utf8')) as object;
  writeFileSync(`${path}.${id}`, JSON.stringify({ ...dead, id: randomUUID() }));
  const got = await Promise.all(Array.from({ length: 10 }, () => new FileClaims(directory).acquire('a')));
  t.is(got.filter((claim) => claim !== undefined).length, 1);
  t.is(readdirSync(directory).length, 1);
});

test('those who come at any moment of a take-over do not undo it', async (t) => {
  for (let round = 0; round < 15; round += 1) {
    const directory = directoryOf(t);
    await claimOf(directory, {});
    const got = await Promise.all(
      Array.from({ length: 40 }, async (_, turn) => {
        for (let wait = 0; wait < turn; wait += 1) await stat(directory);
        return new FileClaims(directory).acquire('a');
      }),
    );
    t.is(got.filter((claim) => claim !== undefined).length, 1);
  }
});

test('removing the directory takes every claim away, and new ones are made', async (t) => {
  const directory = join(directoryOf(t), 'claims');
  const claims = new FileClaims(directory, { heartbeat: QUICK.heartbeat });
  const claim = await claims.acquire('a');
  await rm(directory, { recursive: true });
  await sleep(QUICK.heartbeat * 2);
  claim?.progress();
  t.true(claim?.lost.aborted);
  t.truthy(await claims.acquire('a'));
  await claim?.release();
  t.is(await claims.acquire('a'), undefined);
});

test('a released claim leaves nothing behind', async (t) => {
  const directory = directoryOf(t);
  await (await new FileClaims(directory).acquire('a'))?.release();
  t.deepEqual(readdirSync(directory), []);
});

test('a claim that could not be removed when it was released is free at once', async (t) => {
  const directory = join(directoryOf(t), 'claims');
  const claims = new FileClaims(directory);
  const first = await claims.acquire('fill/left');
  const [name = ''] = readdirSync(directory);
  const bytes = readFileSync(join(directory, name));
  const { id } = JSON.parse(bytes.toString('latin1').replace(/\0.*$/s, ''));
  t.is(await claims.acquire('fill/left'), undefined);
  await first?.release();
  for (const left of [name, `${name}.${id}`]) writeFileSync(join(directory, left), bytes);
  const second = await claims.acquire('fill/left');
  t.not(second, undefined);
  t.is(await claims.acquire('fill/left'), undefined);
  await second?.release();
  t.deepEqual(readdirSync(directory), []);
});
