import { parseArgs } from 'node:util';
import { ConfigError } from '../config/error.ts';
import { loadConfig } from '../config/load.ts';
import { openConfiguredRoot } from '../main.ts';
import { check } from './check.ts';
import { showRoot } from './root.ts';
import { showSchema } from './schema.ts';
import { start } from './start.ts';

const USAGE = `usage: layover <command> [--config FILE]

  start           run the gateway (also: npm start)
  check           say what is wrong with the configuration, and what is doubtful
  config schema   the JSON Schema of the configuration file
  ca show         the root CA: fingerprint, file, and what it vouches for

Without --config it is config/gateway.yaml, and without that file the built-in defaults.
`;

process.exitCode = await run(process.argv.slice(2));

/** Exit codes: 0 done, 1 failed, 2 called or configured wrongly. */
async function run(args: readonly string[]): Promise<number> {
  try {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: { config: { type: 'string' }, json: { type: 'boolean' }, help: { type: 'boolean', short: 'h' } },
    });
    if (values.help === true) return say(USAGE);
    const load = () =>
      loadConfig({ env: process.env, cwd: process.cwd(), ...(values.config !== undefined && { file: values.config }) });
    switch (positionals.join(' ')) {
      case 'start':
        return await start(await load(), values.json === true);
      case 'check':
        return await check(load, values.json === true);
      case 'config schema':
        return showSchema();
      case 'ca show':
        return await showRoot(await load(), openConfiguredRoot, values.json === true);
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

function say(text: string): number {
  process.stdout.write(text);
  return 0;
}
