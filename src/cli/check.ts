import type { Config } from '../config/config.ts';
import { ConfigError } from '../config/error.ts';
import { warningsOf } from './warnings.ts';

/** Says what is wrong with a configuration and what is doubtful about it; the latter leaves the exit code at 0. */
export async function check(load: () => Promise<Config>, json: boolean): Promise<number> {
  let config: Config;
  try {
    config = await load();
  } catch (error) {
    if (!json || !(error instanceof ConfigError)) throw error;
    print({ mistakes: error.problems, warnings: [] });
    return 2;
  }
  const warnings = await warningsOf(config, process.env);
  if (json) {
    print({ mistakes: [], warnings });
    return 0;
  }
  const upstreams = Object.values(config.upstreams).map(
    ({ name, hosts, urls }) => `  ${name}: ${hosts.join(', ')} → ${urls.join(', ')}\n`,
  );
  const doubts = warnings.map(({ key, message }) => `warning: ${key}: ${message}\n`);
  process.stdout.write(`the configuration is right\n${upstreams.join('')}${doubts.join('')}`);
  return 0;
}

function print(answer: object): void {
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
