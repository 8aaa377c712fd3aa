import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { ClientsFacts, Daemon } from './clients.ts';

/** Programs that read the system's roots when they start and not again, and their units. */
const UNITS: ReadonlyMap<string, string> = new Map([
  ['dockerd', 'docker'],
  ['containerd', 'containerd'],
  ['crio', 'crio'],
  ['k3s-server', 'k3s'],
  ['k3s-agent', 'k3s-agent'],
]);
/** Of a second; Linux tells times of processes in these, whatever it counts in itself. */
const TICKS = 100;

/** The daemons that run, where Linux tells. */
export async function probeDaemons(): Promise<readonly Daemon[]> {
  const [, booted] = /^btime (\d+)$/m.exec(await textOf('/proc/stat')) ?? [];
  if (booted === undefined) return [];
  const processes = (await readdir('/proc')).filter((entry) => /^\d+$/.test(entry));
  const found = await Promise.all(
    processes.map(async (pid): Promise<Daemon[]> => {
      const [, program = '', rest = ''] = /^\d+ \((.*)\) (.*)/s.exec(await textOf(`/proc/${pid}/stat`)) ?? [];
      const unit = UNITS.get(program);
      // The 22nd field of proc(5), of which two are gone.
      const ticks = Number(rest.split(' ')[19]);
      return unit === undefined ? [] : [{ program, unit, started: (Number(booted) + ticks / TICKS) * 1_000 }];
    }),
  );
  return found.flat();
}

/** When a file of the machine below `root` changed last; `undefined` where it is not there. */
export async function probeChange(root: string, file: string): Promise<ClientsFacts['bundle']> {
  const found = await stat(join(root, file)).catch(() => undefined);
  return found && { file, changed: found.mtimeMs };
}

async function textOf(path: string): Promise<string> {
  return readFile(path, 'utf8').catch(() => '');
}
