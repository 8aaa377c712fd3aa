import { readFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { ConfigError } from '../config/error.ts';
import { type ConfigSource, loadConfig, readText } from '../config/load.ts';
import { planOf } from '../fleet/plan.ts';

const USAGE = `usage: layover [command] [--config FILE]

  start           run the gateway; also what happens without a command
  restart         replace the processes of a running one without a failed pull (processes: 2 and more)
  check           say what is wrong with the configuration, and what is doubtful
  doctor          say what is wrong with this machine and its network, why it matters and what to type; on a client
                  machine with --gateway HOST[:PORT]; [--timeout 5s] [--json] [--root DIR]
  config schema   the JSON Schema of the configuration file
  names           the names that have to lead to the gateway; --format hosts|dnsmasq|corefile with --address IP[,IP…]:
                  for a hosts file, or for a name server (dnsmasq, CoreDNS); [--out FILE]
  setup           system|docker|podman|containerd|k3s|buildkit|crio: what makes that client of this machine pull through the
                  gateway; nothing is changed without --apply, and --undo --apply takes it out again without a trace;
                  [--gateway HOST[:PORT]] [--fingerprint SHA256] [--mode auto|mirror|transparent] [--default]
                  [--root DIR] [--json]
  log report      what the access logs tell: hits, bytes saved, and why the rest was fetched; [FILE…] [--html FILE]
                  [--since 7d] [--by hour|day|upstream|image|client|why]
  import-config   zot FILE or distribution FILE: a gateway.yaml that does the same; [--out FILE]
                  [--map docker-images=docker.io], what has no counterpart is said on standard error
  tags            history NAME[:TAG]: when its tags moved, from what to what, and who pushed; [--json]
                  restore NAME:TAG DIGEST: points a hosted tag to one of its manifests again
  user            add NAME, remove NAME, list: the users of users.file, or of --file FILE; the password is asked for, or
                  read from standard input with --password-stdin
  nginx-compat    render: the include files of an nginx in front; [--out DIR]
                  certificate: what it shows its clients, with the key; --out FILE
  ca show         the root CA: fingerprint, file, and what it vouches for
  ca fingerprint  its SHA-256
  ca export       the certificates that clients are to trust, as PEM; [--out FILE] [--der] [--next]
  ca install      --dry-run: the commands that make this machine trust them
  ca renew        make the next root while this one serves; --activate lets it serve

Without --config it is config/gateway.yaml, and without that file the built-in defaults. --version: of Layover and of Node.js.
`;

const OPTIONS = {
  config: { type: 'string' },
  json: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
  version: { type: 'boolean' },
  out: { type: 'string' },
  der: { type: 'boolean' },
  next: { type: 'boolean' },
  activate: { type: 'boolean' },
  'dry-run': { type: 'boolean' },
  since: { type: 'string' },
  by: { type: 'string' },
  html: { type: 'string' },
  map: { type: 'string', multiple: true },
  address: { type: 'string' },
  format: { type: 'string' },
  gateway: { type: 'string' },
  fingerprint: { type: 'string', multiple: true },
  mode: { type: 'string' },
  undo: { type: 'boolean' },
  default: { type: 'boolean' },
  apply: { type: 'boolean' },
  root: { type: 'string' },
  timeout: { type: 'string' },
  file: { type: 'string' },
  'password-stdin': { type: 'boolean' },
} as const;

/** Commands of one or two words that others follow. */
const WITH_WORDS: ReadonlySet<string> = new Set([
  'setup',
  'log report',
  'user',
  'tags',
  'import-config zot',
  'import-config distribution',
]);

process.exitCode = await run(process.argv.slice(2));

/** Exit codes: 0 done, 1 failed, 2 called or configured wrongly. */
async function run(args: readonly string[]): Promise<number> {
  try {
    const { values, positionals } = parseArgs({ args: [...args], allowPositionals: true, options: OPTIONS });
    if (values.help === true) return say(USAGE);
    if (values.version === true) return say(`layover ${await version()}, Node.js ${process.versions.node}\n`);
    const { config: file, json = false } = values;
    const source = { env: process.env, cwd: process.cwd(), ...(file !== undefined && { file }) };
    const load = () => loadConfig(source);
    // Each command loads what it needs: some have to be quick, and one must not stay with all of it in memory.
    switch (commandIn(positionals)) {
      case '':
      case 'start':
        return await start(source, json);
      case 'restart':
        return await (await import('./restart.ts')).restart(await load(), json);
      case 'check':
        return await (await import('./check.ts')).check(load, json);
      case 'doctor':
        return await (await import('./doctor.ts')).doctor(load, values);
      case 'config schema':
        return (await import('./schema.ts')).showSchema();
      case 'names':
        return say(await (await import('./names.ts')).showNames(await load(), values));
      case 'setup':
        return await (await import('./setup.ts')).setup(positionals.slice(1), values, load);
      case 'log report':
        return await (await import('./log-report.ts')).logReport(positionals.slice(2), values, load);
      case 'import-config zot':
        return await (await import('./import-config.ts')).importConfig('zot', positionals.slice(2), values);
      case 'import-config distribution':
        return await (await import('./import-config.ts')).importConfig('distribution', positionals.slice(2), values);
      case 'tags':
        return say(await (await import('./tags.ts')).tags(positionals.slice(1), values, load));
      case 'user':
        return say(await (await import('./user.ts')).user(positionals.slice(1), values, load));
      case 'nginx-compat render':
        return say(await (await import('./nginx-compat.ts')).renderFront(await load(), values));
      case 'nginx-compat certificate':
        return say(await (await import('./nginx-compat.ts')).writeCertificate(await load(), values));
      case 'ca show':
        return say(await (await import('./ca.ts')).showRoots(await load(), values));
      case 'ca fingerprint':
        return say(await (await import('./ca.ts')).showFingerprints(await load()));
      case 'ca export':
        return say(await (await import('./ca.ts')).exportRoots(await load(), values));
      case 'ca install':
        return say(await (await import('./ca.ts')).installRoots(await load(), values));
      case 'ca renew':
        return say(await (await import('./ca.ts')).renewRoot(await load(), values));
      default:
        process.stderr.write(USAGE);
        return 2;
    }
  } catch (error) {
    return complain(error);
  }
}

/** Says what went wrong, and returns the exit code. */
function complain(error: unknown): number {
  const isUsage =
    error instanceof ConfigError ||
    (error instanceof TypeError && 'code' in error && String(error.code).startsWith('ERR_PARSE_ARGS'));
  process.stderr.write(
    `${error instanceof ConfigError ? error.problems.join('\n') : `layover: ${error instanceof Error ? error.message : String(error)}`}\n`,
  );
  return isUsage ? 2 : 1;
}

function commandIn(words: readonly string[]): string {
  const starts = [words.slice(0, 1), words.slice(0, 2)].map((start) => start.join(' '));
  return starts.find((start) => WITH_WORDS.has(start)) ?? words.join(' ');
}

/** In this process, or in as many as the configuration says. */
async function start(source: ConfigSource, json: boolean): Promise<number> {
  const text = await readText(source);
  const config = await loadConfig({ ...source, text });
  if (config.processes === 1)
    return (await import('./start.ts')).serve(config, () => loadConfig(source), json, source.file);
  const { becomeSupervisor } = await import('./become.ts');
  return becomeSupervisor(planOf(config, text), json, source.file);
}

/** In a clone and in a package it lies as far above. */
async function version(): Promise<string> {
  const text = await readFile(new URL('../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}

function say(text: string | Uint8Array): number {
  process.stdout.write(text);
  return 0;
}
