import { fileURLToPath } from 'node:url';
import type { Plan } from '../fleet/plan.ts';

/** What `layover start` hands over to the supervisor that it becomes. */
export interface Course {
  /** Milliseconds since 1970. */
  readonly began: number;
  readonly json: boolean;
  /** Absent when it is too long to be handed over. */
  readonly plan?: Plan;
}

/** The variable that a {@link Course} is handed over in, since command lines are seen by everybody. */
export const COURSE = 'LAYOVER_SUPERVISOR';

/** Linux takes 128 KiB for one variable. */
const ROOM = 100_000;

/** Replaces this process by the supervisor: what was loaded to read the configuration does not stay in memory. */
export function becomeSupervisor(plan: Plan, json: boolean, file?: string): never {
  if (process.execve === undefined || process.getBuiltinModule('node:net').BoundSocket === undefined) {
    throw new Error('several processes need Node.js 26.4 or newer, on Linux or macOS: set processes to 1');
  }
  const course: Course = { json, began: performance.timeOrigin };
  const whole = JSON.stringify({ ...course, plan });
  const program = fileURLToPath(new URL('./supervisor.ts', import.meta.url));
  return process.execve(
    process.execPath,
    [process.execPath, ...process.execArgv, program, ...(file === undefined ? [] : [file])],
    {
      ...process.env,
      [COURSE]: Buffer.byteLength(whole) < ROOM ? whole : JSON.stringify(course),
    },
  );
}
