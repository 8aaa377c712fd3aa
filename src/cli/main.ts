import { parseArgs } from 'node:util';
import { ConfigError } from '../config/error.ts';
import { loadConfig } from '../config/load.ts';
import { exportRoots, installRoots, renewRoot, showFingerprints, showRoots } from './ca.ts';
import { check } from './check.ts';
import { showSchema } from './schema.ts';
import { start } from './start.ts';

const USAGE = `usage: layover <command> [--config FILE]

  start           run the gateway (also: npm start)
  check           say what is wrong with the configuration, and what is doubtful
  config schema   the JSON Schema of the configuration file
  ca show         the root CA: fingerprint, file, and what it vouches for
  ca fingerprint  its SHA-256
  ca export       the certificates that clients are to trust, as PEM; [--out FILE] [--der] [--next]
  ca install      --dry-run: the commands that make this machine trust them
  ca renew        make the next root while this one serves; --activate lets it serve

Without --config it is config/gateway.yaml, and without that file the built-in defaults.
`;

const OPTIONS = {
  config: { type: 'string' },
  json: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
  out: { type: 'string' },
  der: { type: 'boolean' },
  next: { type: 'boolean' },
  activate: { type: 'boolean' },
  'dry-run': { type: 'boolean' },
} as const;

process.exitCode = await run(process.argv.slice(2));

/** Exit codes: 0 done, 1 failed, 2 called or configured wrongly. */
async function run(args: readonly string[]): Promise<number> {
  try {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: OPTIONS,
    });
    if (values.help === true) return say(USAGE);
    const load = () =>
      loadConfig({ env: process.env, cwd: process.cwd(), ...(values.config !== undefined && { file: values.config }) });
    switch (positionals.join(' ')) {
      case 'start':
        return await start(load, values.json === true);
      case 'check':
        return await check(load, values.json === true);
      case 'config schema':
        return showSchema();
      case 'ca show':
        return say(await showRoots(await load(), values));
      case 'ca fingerprint':
        return say(await showFingerprints(await load()));
      case 'ca export':
        return say(await exportRoots(await load(), values));
      case 'ca install':
        return say(await installRoots(await load(), values));
      case 'ca renew':
        return say(await renewRoot(await load(), values));
      default:
        process.stderr.write(USAGE);
        return 2;
    }
  } catch (error) {
    const isUsage =
      error instanceof ConfigError ||
      (error instanceof TypeError && 'code' in error && String(error.code).startsWith('ERR_PARSE_ARGS'));
    process.stderr.write(
      `${error instanceof ConfigError ? error.problems.join('\n') : `layover: ${error instanceof Error ? error.message : String(error)}`}\n`,
    );
    return isUsage ? 2 : 1;
  }
}

function say(text: string | Uint8Array): number {
  process.stdout.write(text);
  return 0;
}
