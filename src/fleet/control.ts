import type { Server } from 'node:net';
import { Meeting } from './talk.ts';

/** Under which the supervisor of a data directory can be asked. */
const NAME = 'supervisor';
/** Milliseconds in which a process answers that is not stopped, however busy the machine. Who is no more refuses at once. */
const PROMPT = 10_000;
const DAY = 24 * 3_600_000;

/** What became of a rolling restart. */
export interface Restarted {
  readonly processes: number;
  readonly milliseconds: number;
}

/** Becomes the supervisor of a data directory until the server is closed. Throws while there is another one. */
export async function takeControl(meeting: Meeting, root: string, restart: () => Promise<Restarted>): Promise<Server> {
  const pid = await meeting.ask(NAME, 'who', PROMPT);
  if (pid !== undefined) {
    throw new Error(`process ${pid} runs on ${root} already: layover restart replaces its processes`);
  }
  meeting.forget(NAME);
  return await meeting.listen(NAME, async (question) => {
    if (question === 'who') return String(process.pid);
    if (question !== 'restart') throw new Error(`nobody asks a supervisor ${question}`);
    return restart().then(
      (restarted) => JSON.stringify(restarted),
      (error: unknown) => JSON.stringify({ error: error instanceof Error ? error.message : String(error) }),
    );
  });
}

/** The names of the processes that serve, as they have when their supervisor is no more. */
export async function whoServes(meeting: Meeting): Promise<readonly string[]> {
  const names = meeting.names().filter((name) => name !== NAME);
  const answers = await Promise.all(names.map((name) => meeting.ask(name, 'who', PROMPT)));
  const silent = names.filter((_, index) => answers[index] === undefined);
  for (const name of silent) if (!isRunning(Number(name.split('-')[1]))) meeting.forget(name);
  return names.filter((_, index) => answers[index] !== undefined);
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

/** Tells them that others have taken their place. */
export async function replaceAll(meeting: Meeting, names: readonly string[]): Promise<void> {
  await Promise.all(names.map((name) => meeting.ask(name, 'drain', PROMPT)));
}

/** Has the supervisor of a data directory replace its processes; `undefined` when there is none. */
export async function askForRestart(root: string): Promise<Restarted | { readonly error: string } | undefined> {
  const meeting = Meeting.find(root);
  if (meeting === undefined || (await meeting.ask(NAME, 'who', PROMPT)) === undefined) return undefined;
  const answer = await meeting.ask(NAME, 'restart', DAY);
  return answer === undefined ? { error: 'the supervisor ended meanwhile' } : JSON.parse(answer);
}
