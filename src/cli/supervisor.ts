import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { publish } from '../events.ts';
import type { Plan } from '../fleet/plan.ts';
import { Supervisor } from '../fleet/supervisor.ts';
import { openLog } from '../telemetry/log.ts';
import { COURSE, type Course } from './become.ts';
import { sayReady } from './greeting.ts';
import { onReload, whenEnded } from './signals.ts';

/**
 * The program that watches over the processes that serve. It loads no more than it needs, since it stays; `layover start`
 * becomes it.
 */
const { began, json, plan } = JSON.parse(process.env[COURSE] ?? '') as Course;
delete process.env[COURSE];

/** The configuration file, where one was named. */
const args = process.argv.slice(2);

process.exitCode = await supervise().catch((error: unknown) => {
  process.stderr.write(`layover: ${error instanceof Error ? error.message : String(error)}\n`);
  return 1;
});

async function supervise(): Promise<number> {
  const first = plan ?? (await readPlan());
  openLog({ level: first.level });
  const program = fileURLToPath(new URL('./worker.ts', import.meta.url));
  const { supervisor, greeting } = await Supervisor.start(first, { program, args, plan: readPlan });
  process.on('SIGUSR2', () => supervisor.reopenLogs());
  onReload(() => supervisor.reload());
  const end = whenEnded(() => void supervisor.stop('SIGKILL'));
  sayReady(greeting, json, Date.now() - began, first.processes);
  const signal = await end;
  publish('notice', { level: 'info', message: `${signal}: finishing what runs, for at most 30 s` });
  await supervisor.stop('SIGTERM');
  return 0;
}

/** By a process of its own: what reads configurations would stay in memory. */
async function readPlan(): Promise<Plan> {
  const program = fileURLToPath(new URL('./plan.ts', import.meta.url));
  const child = spawn(process.execPath, [...process.execArgv, program, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  const [said, complaints, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')]);
  if (code !== 0) throw new Error(complaints.trim() || `the configuration cannot be read (${code})`);
  return JSON.parse(said) as Plan;
}
