import { readFileSync } from 'node:fs';

/** Linux: clock ticks a second in /proc. */
const TICKS = 100;

/** A process and everything it started, by id. */
export function tree(pid: number): number[] {
  const children = read(`/proc/${pid}/task/${pid}/children`).split(' ').filter(Boolean).map(Number);
  return [pid, ...children.flatMap(tree)];
}

/** CPU-seconds that a process and those it started have used (proc(5), utime and stime). */
export function cpuSeconds(pid: number): number {
  const ticks = tree(pid).map((one) => {
    const stat = read(`/proc/${one}/stat`);
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return Number(fields[11] ?? 0) + Number(fields[12] ?? 0);
  });
  return ticks.reduce((sum, value) => sum + value, 0) / TICKS;
}

/** Resident MiB of a process and those it started. */
export function residentMiB(pid: number): number {
  const pages = tree(pid).map((one) => Number(/VmRSS:\s*(\d+)/.exec(read(`/proc/${one}/status`))?.[1] ?? 0));
  return pages.reduce((sum, value) => sum + value, 0) / 1024;
}

/** The most resident MiB that a look every 50 ms sees while `work` runs. */
export async function peakMiB(pid: number, work: () => Promise<unknown>): Promise<number> {
  let peak = residentMiB(pid);
  const looking = setInterval(() => {
    peak = Math.max(peak, residentMiB(pid));
  }, 50);
  try {
    await work();
  } finally {
    clearInterval(looking);
  }
  return peak;
}

/** Ends everything that a process has started at once, without waiting; nginx leaves its workers behind otherwise. */
export function killBelow(pid: number): void {
  for (const one of tree(pid).slice(1)) {
    try {
      process.kill(one, 'SIGKILL');
    } catch {
      // It has ended by itself.
    }
  }
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
