import { readdir, readFile, readlink } from 'node:fs/promises';

/** A process, by its number and the name of its program. */
export interface Holder {
  readonly pid: number;
  readonly name: string;
}

const LISTENING = '0A';

/** Who listens on a TCP port, where Linux tells: to root of every process, to others of their own. */
export async function holderOf(port: number): Promise<Holder | undefined> {
  const tables = await Promise.all(
    ['tcp', 'tcp6'].map((table) => readFile(`/proc/net/${table}`, 'utf8').catch(() => '')),
  );
  const sockets = new Set(tables.flatMap((table) => listeners(table, port)).map((inode) => `socket:[${inode}]`));
  if (sockets.size === 0) return undefined;
  const processes = (await readdir('/proc')).filter((entry) => /^\d+$/.test(entry));
  for (const pid of processes) {
    if (!(await has(pid, sockets))) continue;
    const name = await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => '');
    return { pid: Number(pid), name: name.trim() };
  }
  return undefined;
}

/** The inodes of what listens on a port, in the form of proc(5). */
function listeners(table: string, port: number): string[] {
  const suffix = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  return table.split('\n').flatMap((line) => {
    const [, local = '', , state, , , , , , inode] = line.trim().split(/\s+/);
    return state === LISTENING && local.endsWith(suffix) && inode !== undefined ? [inode] : [];
  });
}

async function has(pid: string, sockets: ReadonlySet<string>): Promise<boolean> {
  const descriptors = await readdir(`/proc/${pid}/fd`).catch(() => []);
  for (const descriptor of descriptors) {
    const target = await readlink(`/proc/${pid}/fd/${descriptor}`).catch(() => '');
    if (sockets.has(target)) return true;
  }
  return false;
}
