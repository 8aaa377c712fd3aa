import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir } from 'node:fs/promises';
import { text } from 'node:stream/consumers';

/** A leaf of the tree of tests that the program prints. */
export interface Verdict {
  readonly test: string;
  readonly status: 'passed' | 'skipped' | 'failed';
  /** What it complains of. */
  readonly complaint: string;
}

const statuses: Readonly<Record<string, Verdict['status']>> = {
  Pass: 'passed',
  Skip: 'skipped',
  Disabled: 'skipped',
};

/** Runs the program for two minutes at most; `env` is its configuration, and its reports go to `folder`. */
export async function runProgram(
  program: string,
  folder: string,
  env: Readonly<Record<string, string>>,
): Promise<Verdict[]> {
  await mkdir(folder, { recursive: true });
  const child = spawn(program, [], {
    cwd: folder,
    env: { PATH: '/usr/bin:/bin', OCI_RESULTS_DIR: folder, OCI_VERSION: '1.1', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: 120_000,
    killSignal: 'SIGKILL',
  });
  const [report, complaint] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
  const verdicts = readReport(report);
  // not the exit code: after its report of a read-only run the program crashes
  const [, result] = /^OCI Conformance Result: (\w+)$/m.exec(report) ?? [];
  const failed = verdicts.some(({ status }) => status === 'failed');
  if (result !== (failed ? 'FAIL' : 'Pass')) throw new Error(`${program}: ${result}\n${complaint.slice(-1500)}`);
  return verdicts;
}

/** The leaves of the tree in a report: lines `<indent><path>: <status>`, each followed by its complaints. */
export function readReport(report: string): Verdict[] {
  const [tree = ''] = report.split('\n\n');
  const nodes = tree.split(/\n(?= *OCI Conformance Test)/).flatMap((node) => {
    const [, indent = '', test = '', status = '', complaint = ''] =
      /^( *)OCI Conformance Test\/([^\n]*): (\w+)(?:\n(.*))?$/s.exec(node) ?? [];
    if (test === '') return [];
    return [{ depth: indent.length, test, status: statuses[status] ?? ('failed' as const), complaint }];
  });
  return nodes
    .filter(({ depth }, index) => (nodes[index + 1]?.depth ?? 0) <= depth)
    .map(({ test, status, complaint }) => ({ test, status, complaint: complaint.trim() }));
}
