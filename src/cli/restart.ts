import type { Config } from '../config/config.ts';
import { askForRestart } from '../fleet/control.ts';

/** Has the running processes replaced one after the other; says in one line what came of it. */
export async function restart(config: Config, json: boolean): Promise<number> {
  const { root } = config.storage;
  const answer = (await askForRestart(root)) ?? { error: whyNot(config) };
  const isDone = !('error' in answer);
  const line = isDone
    ? `${answer.processes} processes were replaced in ${(answer.milliseconds / 1000).toFixed(1)} s; those before them finish what they serve`
    : answer.error;
  if (json) process.stdout.write(`${JSON.stringify(answer)}\n`);
  else if (isDone) process.stdout.write(`${line}\n`);
  else process.stderr.write(`layover: ${line}\n`);
  return isDone ? 0 : 1;
}

function whyNot({ processes, storage }: Config): string {
  return processes === 1
    ? 'one process cannot be replaced while it serves (processes: 1): stop it and start it again'
    : `nobody watches over processes on ${storage.root}: layover start, which takes the place of those that still serve`;
}
