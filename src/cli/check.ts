import type { Config } from '../config/config.ts';

/** Says that a configuration is right, and what it makes of the world. */
export async function check(config: Config): Promise<number> {
  const upstreams = Object.values(config.upstreams).map(
    ({ name, hosts, urls }) => `  ${name}: ${hosts.join(', ')} → ${urls.join(', ')}`,
  );
  process.stdout.write(`the configuration is right\n${upstreams.join('\n')}\n`);
  return 0;
}
