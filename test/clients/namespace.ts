import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';

/**
 * Runs a TypeScript program with mounts, processes and, unless it is to be `shared`, a network of its own. When it ends,
 * or this process does, the kernel ends everything that was started inside and drops every mount. Each line it prints goes
 * to `onLine`; throws when it ends with an error or takes longer than `timeout` milliseconds.
 */
export async function runIsolated(
  program: string,
  args: readonly string[],
  timeout: number,
  onLine: (line: string) => void,
  network: 'own' | 'shared' = 'own',
): Promise<void> {
  // the kernel ends it also when this process is killed and can do nothing about it
  const bound = ['--pdeathsig', 'KILL', 'unshare'];
  const net = network === 'own' ? ['--net'] : [];
  const isolation = ['--mount', ...net, '--pid', '--ipc', '--fork', '--kill-child', '--mount-proc'];
  const child = spawn('setpriv', [...bound, ...isolation, process.execPath, program, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout,
    killSignal: 'SIGKILL',
  });
  createInterface(child.stdout).on('line', onLine);
  const ended = new Promise<string>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => resolve(signal === null ? `exit ${code}` : `${signal} after ${timeout} ms`));
  });
  const [complaint, outcome] = await Promise.all([text(child.stderr), ended]);
  if (outcome !== 'exit 0') throw new Error(`${outcome}\n${complaint.trim().slice(-1500)}`);
}
