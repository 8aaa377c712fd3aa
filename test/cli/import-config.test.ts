import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import test, { type ExecutionContext } from 'ava';
import { loadConfig } from '../../src/config/load.ts';

const MAIN = join(import.meta.dirname, '../../src/cli/main.ts');
/** As the launcher sets it: reading the sources takes longer than everything else. */
const COMPILED = join(import.meta.dirname, '../../node_modules/.cache/compile');

type Run = (...args: readonly string[]) => Promise<{ code: number; out: string; err: string }>;

const ZOT = {
  http: { address: '0.0.0.0', port: '5000' },
  storage: { rootDirectory: '/data', gc: true },
  extensions: {
    sync: {
      credentialsFile: 'creds.json',
      registries: [
        { urls: ['https://registry-1.docker.io'], content: [{ prefix: '**', destination: '/docker-images' }] },
        { urls: ['https://ghcr.io'], content: [{ prefix: '**', destination: '/ghcr.io' }] },
      ],
    },
  },
};

/** A directory with a configuration of zot and its credentials, one of distribution, and the command line run in it. */
async function place(t: ExecutionContext): Promise<{ readonly dir: string; readonly run: Run }> {
  const dir = await mkdtemp(join(tmpdir(), 'layover-import-'));
  t.teardown(() => rm(dir, { recursive: true }));
  await writeFile(join(dir, 'config.json'), JSON.stringify(ZOT));
  await writeFile(join(dir, 'creds.json'), '{"ghcr.io": {"Username": "bot", "password": "hunter2"}}');
  await writeFile(
    join(dir, 'config.yml'),
    'version: 0.1\nproxy: { remoteurl: "https://quay.io", password: hunter2 }\n',
  );
  const run: Run = async (...args) => {
    const child = spawn(process.execPath, [MAIN, 'import-config', ...args], {
      cwd: dir,
      env: { ...process.env, NODE_COMPILE_CACHE: COMPILED },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    t.teardown(() => child.kill('SIGKILL'));
    const [out, err, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')]);
    return { code, out, err };
  };
  return { dir, run };
}

test('a configuration of zot becomes a file that loads, and what it lacks is said on standard error', async (t) => {
  const { dir, run } = await place(t);
  const { code, out, err } = await run('zot', 'config.json', '--map', 'docker-images=docker.io', '--out', 'new.yaml');
  t.deepEqual([code, out], [0, '']);
  t.regex(err, /^config\.json:1:\d+ storage\.gc: not needed/m);
  const config = await loadConfig({ file: 'new.yaml', env: {}, cwd: dir });
  t.deepEqual(Object.keys(config.upstreams).toSorted(), ['docker.io', 'ghcr.io']);
  t.like(config.upstreams['ghcr.io']?.credentials[0], { username: 'bot', passwordFile: join(dir, 'secrets/ghcr.io') });
  t.notRegex(`${err}${await readFile(join(dir, 'new.yaml'), 'utf8')}`, /hunter2/);
});

test('without --out it goes to standard output, and with it never over a file that is there', async (t) => {
  const { dir, run } = await place(t);
  const { code, out, err } = await run('distribution', 'config.yml');
  t.is(code, 0);
  t.regex(out, /^mirror:\n {2}default: quay\.io$/m);
  t.notRegex(`${out}${err}`, /hunter2/);
  const refused = await run('distribution', 'config.yml', '--out', 'config.json');
  t.deepEqual([refused.code, refused.out], [2, '']);
  t.is(refused.err, '--out config.json: the file is there already; name another\n');
  t.is(await readFile(join(dir, 'config.json'), 'utf8'), JSON.stringify(ZOT));
});

test('a wrong call or a file that is not there is one line and exit code 2', async (t) => {
  const { run } = await place(t);
  const refused = async (...args: string[]): Promise<string> => {
    const { code, out, err } = await run(...args);
    t.deepEqual([code, out, err.split('\n').length], [2, '', 2]);
    return err;
  };
  t.regex(await refused('zot', 'absent.json'), /^absent\.json:1:1 \(file\): expected a readable file, got ENOENT/);
  t.regex(await refused('zot', 'config.json', '--map', 'docker-images'), /^--map: expected destination=namespace/);
  t.regex(await refused('zot'), /^expected one file: layover import-config zot FILE/);
});
