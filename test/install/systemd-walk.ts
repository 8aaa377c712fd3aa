import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { execute, openLoopback } from '../faults/namespace.ts';
import { Client } from '../support/client.ts';
import { makeImage } from '../support/image.ts';
import { markedBlock, readDocument } from '../support/markdown.ts';
import { pull } from '../support/pull/pull.ts';
import { startUpstream } from '../support/upstream/upstream.ts';

/** What was seen of the unit under a systemd. */
export interface Walk {
  /** Digest of the image that the registry has, and of what was pulled. */
  readonly digests: readonly [string, string];
  /** Status of a ping on port 443, with the root CA trusted. */
  readonly ping: number;
  /** `/proc/<pid>/status` of the process that systemd started. */
  readonly status: string;
  readonly accessLog: string;
  /** What it said, to its end. */
  readonly log: string;
  /** Properties of the unit when it was stopped. */
  readonly stopped: string;
  /** Files of the system, and its users, before it was installed and after that was undone. */
  readonly files: readonly [string, string];
}

/** A program: starts the unit under a systemd of its own, in this network, which is to be empty; prints a {@link Walk}. */
const PROJECT = join(import.meta.dirname, '..', '..');
const PATIENCE = 200_000;
const CONFIG = 'etc/layover/gateway.yaml';
const FILES = 'find /etc /var | sort; cat /etc/passwd /etc/group';
const page = await readDocument('docs/install.md');

await openLoopback();
const dir = await mkdtemp(join(tmpdir(), 'layover-systemd-'));
const upstream = await startUpstream({ profile: 'hub', tls: false });
let systemd: ChildProcess | undefined;
try {
  console.log(JSON.stringify(await walk()));
} finally {
  systemd?.kill('SIGKILL');
  await upstream.close();
  await rm(dir, { recursive: true, force: true });
}

async function walk(): Promise<Walk> {
  const image = makeImage({ layers: [300_000] });
  upstream.add('library/alpine', image);
  const log = join(dir, 'log');
  const pid = await boot(log);
  const root = join('/proc', String(pid), 'root');
  const inside = (script: string): Promise<string> => type(pid, script);
  await until(
    () => inside('systemctl is-active default.target || true'),
    (state) => state === 'active',
    'it never boots',
  );
  const before = await inside(FILES);
  await inside(markedBlock(page, 'systemd'));
  await ready(log);
  await writeFile(join(root, CONFIG), await configuration(join(root, CONFIG)));
  await inside('systemctl restart layover');
  await ready(log);

  const ca = await readFile(join(root, 'var/lib/layover/certs/ca.crt'), 'utf8');
  using client = new Client({ ca, connectTo: { 'ghcr.io:443': { address: '127.0.0.1', port: 443 } } });
  const { status: ping } = await client.request('https://ghcr.io/v2/');
  const options = { client, registry: 'http://127.0.0.1:5000', repository: 'docker.io/library/alpine' };
  const pulled = await pull('dockerd', { ...options, reference: 'latest' });
  const main = await inside('systemctl show layover --property=MainPID --value');
  const status = await readFile(join(root, 'proc', main, 'status'), 'utf8');
  await inside('systemctl reload layover');
  await hear(log, 'the configuration was read again');
  const accessLog = await readFile(join(root, 'var/log/layover/access.log'), 'utf8');
  await inside('systemctl stop layover');
  const stopped = await inside('systemctl show layover --property=ActiveState,Result,ExecMainStatus');
  await inside(markedBlock(page, 'systemd_undo'));
  const files = [before, await inside(FILES)] as const;
  return {
    digests: [image.digest, pulled.digest],
    ping,
    status,
    accessLog,
    log: await readFile(log, 'utf8'),
    stopped,
    files,
  };
}

/** What somebody types on the machine, as root. */
async function type(pid: number, script: string): Promise<string> {
  const inside = [
    '--target',
    String(pid),
    '--mount',
    '--pid',
    'env',
    'PATH=/mnt:/usr/sbin:/usr/bin',
    'sh',
    '-euc',
    script,
  ];
  return (await execute('nsenter', inside)).stdout.trim();
}

/** What the page says, and where the registry is. */
async function configuration(file: string): Promise<string> {
  const hosts = JSON.stringify(upstream.roles.map((role) => upstream.authority(role)));
  const installed = await readFile(file, 'utf8');
  return `${installed.replace('root: /var/lib/layover/data', 'root: /var/lib/layover/data, reserve: 0')}
processes: 2
upstreams:
  docker.io: { urls: [${upstream.url()}], tokenHosts: ${hosts}, blobHosts: ${hosts} }
  ghcr.io: { urls: [${upstream.url()}], tokenHosts: ${hosts} }
`;
}

/** Resolves to the first process inside, as it is called here. */
async function boot(log: string): Promise<number> {
  const modules = await realpath(join(PROJECT, 'node_modules'));
  const isolation = ['--mount', '--pid', '--ipc', '--uts', '--cgroup', '--fork', '--kill-child'];
  const script = join(import.meta.dirname, 'boot.sh');
  systemd = spawn('unshare', [...isolation, 'sh', script, PROJECT, modules, process.execPath, log], {
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  await once(systemd, 'spawn');
  const { pid } = systemd;
  const children = (): Promise<string> => readFile(`/proc/${pid}/task/${pid}/children`, 'utf8');
  const first = Number(await until(children, (text) => text.trim() !== '', 'unshare starts nothing'));
  // Before that it has the machine's files in sight.
  await until(
    () => readFile(`/proc/${first}/comm`, 'utf8'),
    (name) => name === 'systemd\n',
    'it never becomes systemd',
  );
  return first;
}

async function ready(log: string): Promise<void> {
  const ask = async (): Promise<number> =>
    (await fetch('http://127.0.0.1:9464/readyz').catch(() => undefined))?.status ?? 0;
  await until(ask, (status) => status === 200, 'it is never ready').catch(async (cause: unknown) => {
    throw new Error(await readFile(log, 'utf8').catch(() => 'there is no log'), { cause });
  });
}

async function hear(log: string, text: string): Promise<void> {
  await until(
    () => readFile(log, 'utf8'),
    (all) => all.includes(text),
    `the log never says: ${text}`,
  );
}

async function until<T>(look: () => Promise<T>, isIt: (seen: T) => boolean, complaint: string): Promise<T> {
  const deadline = Date.now() + PATIENCE;
  for (;;) {
    if (systemd && (systemd.exitCode !== null || systemd.signalCode !== null)) throw new Error('systemd has ended');
    const seen = await look();
    if (isIt(seen)) return seen;
    if (Date.now() > deadline) throw new Error(complaint);
    await sleep(50);
  }
}
