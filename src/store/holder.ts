import { randomUUID } from 'node:crypto';
import { readFileSync, readlinkSync } from 'node:fs';
import { hostname } from 'node:os';
import { asObject } from './json.ts';

/** A process, as others that share the data directory can recognise it. */
export interface Holder {
  /** New for each process. */
  readonly uuid: string;
  readonly pid: number;
  /** Clock ticks after boot, where the system tells; a process identifier is used again, this pair is not. */
  readonly started?: string;
  /** Host name and namespace of process identifiers. */
  readonly host: string;
  readonly boot: string;
}

const uuid = randomUUID();

/** This process. */
export const SELF: Holder = {
  uuid,
  pid: process.pid,
  ...startOf(process.pid),
  host: [hostname(), attempt(() => readlinkSync('/proc/self/ns/pid')) ?? ''].join(' '),
  boot: attempt(() => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()) ?? '',
};

/** Whether the holder is known to be no more; `false` also when it runs where this process cannot look. */
export function isGone(holder: Holder): boolean {
  if (holder.uuid === SELF.uuid || holder.host !== SELF.host || holder.boot !== SELF.boot) return false;
  if (holder.pid === SELF.pid || !isRunning(holder.pid)) return true;
  if (holder.started === undefined) return false;
  const { started } = startOf(holder.pid);
  return started !== undefined && started !== holder.started;
}

export function toHolder(value: unknown): Holder | undefined {
  const { uuid, pid, started, host, boot } = asObject(value) ?? {};
  if (typeof uuid !== 'string' || typeof pid !== 'number' || typeof host !== 'string' || typeof boot !== 'string') {
    return undefined;
  }
  return { uuid, pid, ...(typeof started === 'string' && { started }), host, boot };
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return !(error instanceof Error && 'code' in error && error.code === 'ESRCH');
  }
}

/** Fields 3 and 22 of /proc/<pid>/stat (proc_pid_stat(5)); the name before them may contain anything. */
function startOf(pid: number): { readonly started?: string } {
  const stat = attempt(() => readFileSync(`/proc/${pid}/stat`, 'utf8'));
  if (stat === undefined) return {};
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const started = fields[0] === 'Z' || fields[0] === 'X' ? 'ended' : fields[19];
  return started === undefined ? {} : { started };
}

function attempt<T>(action: () => T): T | undefined {
  try {
    return action();
  } catch {
    return undefined;
  }
}
