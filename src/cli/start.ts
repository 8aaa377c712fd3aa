import type { Config } from '../config/config.ts';
import { publish } from '../events.ts';
import { startLayover } from '../main.ts';
import { greetingOf, sayReady } from './greeting.ts';
import { onReload, whenEnded } from './signals.ts';

/** Milliseconds that running answers get after a SIGTERM. */
export const DRAIN = 30_000;

/** Runs the gateway in this process until a signal ends it. */
export async function serve(
  config: Config,
  load: () => Promise<Config>,
  json: boolean,
  file?: string,
): Promise<number> {
  const layover = await startLayover(config, process.env);
  process.on('SIGUSR2', () => layover.reopenLogs());
  onReload(async () => layover.reload(await load()));
  const end = whenEnded();
  // Who reads this may send signals from now on.
  sayReady(greetingOf(config, layover, file), json, performance.now());
  const signal = await end;
  publish('notice', { level: 'info', message: `${signal}: finishing what runs, for at most ${DRAIN / 1000} s` });
  await layover.close(DRAIN);
  return 0;
}
