import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import test, { type ExecutionContext } from 'ava';
import { PRESETS } from '../../src/config/presets.ts';
import { NOBODY, type Told } from '../doctor/findings.ts';
import { directoryOf } from '../store/directory.ts';
import { serve } from '../upstream/support.ts';

const MAIN = join(import.meta.dirname, '../../src/cli/main.ts');
interface Said {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

async function doctor(
  t: ExecutionContext,
  config: string,
  ...args: string[]
): Promise<Said & { readonly dir: string }> {
  const dir = directoryOf(t);
  await writeFile(join(dir, 'gateway.yaml'), config);
  const child = spawn(
    process.execPath,
    [MAIN, 'doctor', '--config', 'gateway.yaml', '--root', dir, '--timeout', '60s', ...args],
    {
      cwd: dir,
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  );
  const [out, err, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')]);
  return { code: code as number, out, err, dir };
}

function configOf(upstreams: object): string {
  // Names that nobody here can resolve would be asked of the machine's name servers.
  const presets = Object.fromEntries([...PRESETS.keys()].map((name) => [name, null]));
  return JSON.stringify({
    listen: { https: '127.0.0.1:0', http: '127.0.0.1:0', admin: '127.0.0.1:0' },
    names: ['127.0.0.1'],
    storage: { size: '1m', reserve: 0 },
    mirror: { default: null },
    upstreams: { ...presets, ...upstreams },
  });
}

test('on a machine where nothing is broken, doctor says so check by check, changes nothing and exits with 0', async (t) => {
  const { url } = await serve(t, (_, response) => void response.end('{}'));
  const { code, out, dir } = await doctor(t, configOf({ 'reg.example': { hosts: ['localhost'], urls: [url.origin] } }));
  t.is(code, 0, out);
  const checks = [...out.matchAll(/^(?:ok|warning|PROBLEM) +([a-z]+) /gm)].map(([, check]) => check);
  const order = [
    'configuration',
    'names',
    'ports',
    'gateway',
    'trust',
    'clients',
    'clock',
    'storage',
    'upstreams',
    'container',
  ];
  t.deepEqual([...new Set(checks)], order);
  t.regex(out, /\n10 checks: 0 problems, \d+ warnings?\n$/);
  t.deepEqual(await readdir(dir), ['gateway.yaml']);
});

test('a problem is told with why it matters and what to type, and the exit code is 1', async (t) => {
  const config = configOf({ 'reg.example': { hosts: ['localhost'], urls: [`http://${NOBODY}`] } });
  const { code, out } = await doctor(t, config);
  t.is(code, 1);
  t.regex(
    out,
    /^PROBLEM upstreams +reg\.example: .*ECONNREFUSED\n {8}why: .+\n {8}fix: curl -v http:\/\/127\.83\.1\.9:21987\/v2\/; .+\n/m,
  );
  t.regex(out, /\d checks: 1 problem, /);
});

test('a program is told the same as a list', async (t) => {
  const config = configOf({ 'reg.example': { hosts: ['localhost'], urls: [`http://${NOBODY}`] } });
  const { code, out } = await doctor(t, config, '--json');
  t.is(code, 1);
  const found = JSON.parse(out) as readonly Told[];
  const [problem, ...more] = found.filter(({ status }) => status === 'problem');
  t.deepEqual(more, []);
  t.deepEqual(Object.keys(problem ?? {}), ['check', 'status', 'message', 'why', 'fix']);
  t.is(problem?.check, 'upstreams');
  const right = found.find(({ status }) => status === 'ok');
  t.deepEqual(Object.keys(right ?? {}), ['check', 'status', 'message']);
});

test('what check warns of is among what is found', async (t) => {
  const config = JSON.parse(configOf({ 'reg.example': { deny: ['reg.example/acme'], urls: [`http://${NOBODY}`] } }));
  const { out } = await doctor(t, JSON.stringify(config), '--json');
  const found = (JSON.parse(out) as readonly Told[]).filter(({ check }) => check === 'configuration');
  t.is(found.length, 1);
  t.like(found[0], { status: 'warning' });
  t.regex(found[0]?.message ?? '', /^upstreams\.reg\.example\.deny\[0\]: reg\.example\/acme matches nothing/);
});

test('a configuration with mistakes is the only thing found', async (t) => {
  const { code, out } = await doctor(t, 'lisen: {}\nlog: { level: loud }', '--json');
  t.is(code, 1);
  const found = JSON.parse(out) as readonly Told[];
  t.deepEqual(
    found.map(({ check, status }) => [check, status]),
    [
      ['configuration', 'problem'],
      ['configuration', 'problem'],
    ],
  );
  t.regex(found[0]?.message ?? '', /^gateway\.yaml:1:1 lisen: expected/);
});

test('a time that is none is a wrong call', async (t) => {
  const { code, err } = await doctor(t, '', '--timeout', 'soon');
  t.is(code, 2);
  t.regex(err, /^--timeout: expected a duration such as 20s, got "soon"/);
});

test('a gateway that is named wrongly is a wrong call', async (t) => {
  for (const gateway of ['http://nas.lan:5000', 'user@nas.lan', 'nas.lan:65536']) {
    const { code, err, out } = await doctor(t, '', '--gateway', gateway);
    t.is(code, 2, gateway);
    t.regex(err, /^--gateway: expected HOST or HOST:PORT/, gateway);
    t.is(out, '');
  }
});
