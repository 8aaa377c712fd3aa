import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import test from 'ava';

const MAIN = join(import.meta.dirname, '../../src/cli/main.ts');
/** As the launcher sets it: reading the sources takes longer than everything else. */
const COMPILED = join(import.meta.dirname, '../../node_modules/.cache/compile');
const LOOPBACK = 'listen: { https: "127.0.0.1:0", http: "127.0.0.1:0", admin: "127.0.0.1:0" }\n';

/** A directory with a configuration, and the command line run in it. */
class Place implements AsyncDisposable {
  readonly dir: string;

  private constructor(dir: string) {
    this.dir = dir;
  }

  static async make(config: string): Promise<Place> {
    const dir = await mkdtemp(join(tmpdir(), 'layover-cli-'));
    await writeFile(join(dir, 'gateway.yaml'), config);
    return new Place(dir);
  }

  layover(...args: string[]): ReturnType<typeof spawn> {
    const env = { ...process.env, NODE_COMPILE_CACHE: COMPILED };
    return spawn(process.execPath, [MAIN, ...args], { cwd: this.dir, env, stdio: ['ignore', 'pipe', 'pipe'] });
  }

  async run(...args: string[]): Promise<{ code: number; out: string; err: string }> {
    const child = this.layover(...args);
    const [out, err, [code]] = await Promise.all([output(child.stdout), output(child.stderr), once(child, 'exit')]);
    return { code: code as number, out, err };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.dir, { recursive: true, force: true });
  }
}

function output(stream: NodeJS.ReadableStream | null): Promise<string> {
  return stream === null ? Promise.resolve('') : text(stream);
}

async function line(stream: NodeJS.ReadableStream | null): Promise<string> {
  let read = '';
  for await (const chunk of stream ?? []) {
    read += String(chunk);
    if (read.includes('\n')) break;
  }
  return read.split('\n', 1)[0] ?? '';
}

test('start serves until SIGTERM, tells where, and exits with 0', async (t) => {
  await using place = await Place.make(LOOPBACK);
  const child = place.layover('start', '--config', 'gateway.yaml', '--json');
  t.teardown(() => child.kill('SIGKILL'));
  const ready = JSON.parse(await line(child.stdout)) as {
    admin: string;
    http: string;
    ca: { file: string; fingerprint: string };
  };
  t.is((await fetch(`http://${ready.admin}/livez`)).status, 200);
  t.is((await fetch(`http://${ready.admin}/readyz`)).status, 200);
  const metrics = await (await fetch(`http://${ready.admin}/metrics`)).text();
  t.regex(metrics, /layover_/);
  t.is((await fetch(`http://${ready.admin}/nothing`)).status, 404);
  const certificate = await (await fetch(`http://${ready.http}/ca.crt`)).text();
  t.is(certificate, await readFile(ready.ca.file, 'utf8'));
  t.regex(ready.ca.fingerprint, /^([0-9A-F]{2}:){31}[0-9A-F]{2}$/);
  child.kill('SIGTERM');
  t.deepEqual(await once(child, 'exit'), [0, null]);
});

test('start greets with addresses, the fingerprint and the next step', async (t) => {
  await using place = await Place.make(LOOPBACK);
  const child = place.layover('start', '--config', 'gateway.yaml');
  t.teardown(() => child.kill('SIGKILL'));
  let greeting = '';
  for await (const chunk of child.stdout ?? []) {
    greeting += String(chunk);
    if (greeting.includes('layover.js doctor')) break;
  }
  child.kill('SIGTERM');
  await once(child, 'exit');
  t.regex(greeting, /^layover is ready after \d+ ms\n/);
  for (const part of ['https  127.0.0.1:', 'http   127.0.0.1:', 'ca.crt', 'SHA-256', 'docker pull localhost:'])
    t.true(greeting.includes(part), part);
  for (const command of ['setup docker', 'doctor'])
    t.regex(greeting, new RegExp(`^  (?:sudo )?node /.*/bin/layover\\.js ${command} --config gateway\\.yaml$`, 'm'));
});

test('without a command the gateway starts, with the configuration that lies in its place', async (t) => {
  await using place = await Place.make('');
  await mkdir(join(place.dir, 'config'));
  await writeFile(join(place.dir, 'config', 'gateway.yaml'), LOOPBACK);
  const child = place.layover();
  t.teardown(() => child.kill('SIGKILL'));
  t.regex(await line(child.stdout), /^layover is ready/);
  child.kill('SIGTERM');
  t.deepEqual(await once(child, 'exit'), [0, null]);
});

test('a wrong configuration is told completely, with places, and exits with 2', async (t) => {
  await using place = await Place.make('lisen: {}\ngrants: { offline: soon }\n');
  for (const command of [['start'], ['check'], ['ca', 'show']]) {
    const { code, err } = await place.run(...command, '--config', 'gateway.yaml');
    t.is(code, 2);
    t.regex(err, /gateway\.yaml:1:1 lisen: expected .*listen/);
    t.regex(err, /gateway\.yaml:2:\d+ grants\.offline: expected /);
  }
});

test('a right configuration is confirmed by check', async (t) => {
  await using place = await Place.make('names: [gateway.lan]\n');
  const { code, out } = await place.run('check', '--config', 'gateway.yaml');
  t.is(code, 0);
  t.regex(out, /docker\.io: docker\.io, index\.docker\.io, registry-1\.docker\.io/);
});

test('ca show makes the root when there is none and prints what it vouches for', async (t) => {
  await using place = await Place.make('certs: { dir: ./made }\n');
  const { code, out } = await place.run('ca', 'show', '--config', 'gateway.yaml', '--json');
  t.is(code, 0);
  const shown = JSON.parse(out) as { file: string; permitted: { dns: string[]; ips: string[] } };
  t.true(shown.permitted.dns.includes('localhost'));
  t.true(shown.permitted.dns.includes('ghcr.io'));
  t.deepEqual(shown.permitted.ips, []);
  t.regex(await readFile(shown.file, 'utf8'), /BEGIN CERTIFICATE/);
  const again = await place.run('ca', 'show', '--config', 'gateway.yaml');
  t.regex(again.out, /vouches for/);
});

test('an unknown command or option prints the usage and exits with 2', async (t) => {
  await using place = await Place.make('');
  t.is((await place.run('pull')).code, 2);
  t.is((await place.run('start', '--nonsense')).code, 2);
  t.regex((await place.run('pull')).err, /^usage: layover/);
  const { code, out } = await place.run('--help');
  t.is(code, 0);
  t.regex(out, /^usage: layover/);
});

test('an address that cannot be bound ends start with a readable error', async (t) => {
  await using place = await Place.make('listen: { https: "127.0.0.1:0", http: "127.0.0.1:0", admin: "192.0.2.1:1" }\n');
  const { code, err } = await place.run('start', '--config', 'gateway.yaml');
  t.is(code, 1);
  t.regex(err, /layover: listen EADDRNOTAVAIL/);
});

test('SIGHUP reads the configuration again, says what waits for a restart, and survives mistakes', async (t) => {
  await using place = await Place.make(LOOPBACK);
  const child = place.layover('start', '--config', 'gateway.yaml', '--json');
  t.teardown(() => child.kill('SIGKILL'));
  const { admin, https } = JSON.parse(await line(child.stdout)) as { admin: string; https: string };
  const told: string[] = [];
  child.stderr?.on('data', (chunk: Buffer) => told.push(String(chunk)));
  const hear = async (expected: RegExp): Promise<void> => {
    const deadline = Date.now() + 20_000;
    while (!expected.test(told.join('')) && Date.now() < deadline) await new Promise((wake) => setTimeout(wake, 20));
    t.regex(told.join(''), expected);
  };
  const reload = async (config: string, expected: RegExp): Promise<void> => {
    told.length = 0;
    await writeFile(join(place.dir, 'gateway.yaml'), config);
    child.kill('SIGHUP');
    await hear(expected);
  };
  await reload(`${LOOPBACK}log: { level: debug }\nnames: [late.lan]\n`, /read again: log\.level[\s\S]*restart: names/);
  connect(Number(https.split(':')[1]), '127.0.0.1').end('no TLS');
  await hear(/TLS handshake failed/);
  await reload(`${LOOPBACK}lisen: {}\n`, /lisen[\s\S]*cannot be used, and the one before stays/);
  await reload(`${LOOPBACK}log: { level: debug }\n`, /nothing else than before/);
  t.is((await fetch(`http://${admin}/readyz`)).status, 200);
  child.kill('SIGTERM');
  t.deepEqual(await once(child, 'exit'), [0, null]);
});
