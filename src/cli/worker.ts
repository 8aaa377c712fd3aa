import { setTimeout as sleep } from 'node:timers/promises';
import type { Config } from '../config/config.ts';
import { loadConfig } from '../config/load.ts';
import { publish } from '../events.ts';
import { Crew } from '../fleet/crew.ts';
import { FIRST_DESCRIPTOR, type Order, type Report } from '../fleet/messages.ts';
import { type Layover, startLayover } from '../main.ts';
import { greetingOf } from './greeting.ts';
import { DRAIN } from './start.ts';

/** The program of one of several processes: a gateway on inherited sockets, which obeys a supervisor while there is one. */
const [file] = process.argv.slice(2);

/** Milliseconds that answers have which run when another process took this one's place: nobody waits for its end. */
const IN_PEACE = 3_600_000;

/** Milliseconds that closing takes beside that. */
const MARGIN = 5_000;

let layover: Layover | undefined;
let isAdopted = false;
let ending: Promise<void> | undefined;

process.on('message', (order: Order) => {
  obey(order).catch((error: unknown) => {
    // Only who asked for an answer gets one.
    if (order.kind === 'begin' || order.kind === 'reload') say({ kind: 'failed', message: messageOf(error) });
    if (layover === undefined) leave(1);
  });
});
process.on('disconnect', () => {
  if (!isAdopted) leave(1);
  else if (ending === undefined) {
    publish('notice', {
      level: 'warn',
      message: `process ${process.pid} has lost its supervisor, and goes on serving`,
    });
  }
});
// Those of a terminal go to all processes, and are answered by the supervisor.
process.on('SIGHUP', () => undefined);
process.on('SIGUSR2', () => layover?.reopenLogs());
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => void end(DRAIN));

async function obey(order: Order): Promise<void> {
  if (order.kind === 'begin') await begin(order.text, order.descriptors);
  else if (order.kind === 'reload') await reload(order.text);
  else if (order.kind === 'drain') await end(IN_PEACE);
  else isAdopted = true;
}

async function begin(text: string, count: number): Promise<void> {
  const config = await load(text);
  const crew = await Crew.open(config.storage.root);
  const descriptors = Array.from({ length: count }, (_, index) => FIRST_DESCRIPTOR + index);
  const replaced = (): void => void end(IN_PEACE);
  layover = await startLayover(config, process.env, { member: { crew, descriptors, replaced } });
  say({ kind: 'ready', greeting: greetingOf(config, layover, file) });
}

async function reload(text: string): Promise<void> {
  const outcome = await layover?.reload(await load(text));
  say({ kind: 'reloaded', applied: outcome?.applied ?? [], pending: outcome?.pending ?? [] });
}

function load(text: string): Promise<Config> {
  return loadConfig({ env: process.env, cwd: process.cwd(), text, ...(file !== undefined && { file }) });
}

/** Whoever is told to end soon does, also in the midst of ending in peace. */
async function end(drain: number): Promise<void> {
  ending ??= layover?.close(drain) ?? Promise.resolve();
  await Promise.race([ending, sleep(drain + MARGIN)]).catch(() => undefined);
  leave(0);
}

function leave(code: number): void {
  process.exit(code);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function say(report: Report): void {
  if (process.connected) process.send?.(report);
}
