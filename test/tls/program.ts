import { spawn } from 'node:child_process';
import type { ExecutionContext } from 'ava';

/** Runs a program to its end; `undefined`, and a line in the report, when the machine does not have it. */
export async function run(
  t: ExecutionContext,
  program: string,
  args: readonly string[],
  input = '',
): Promise<{ readonly code: number | null; readonly output: string } | undefined> {
  const child = spawn(program, args, {
    timeout: 120_000,
    env: { ...process.env, GOTOOLCHAIN: 'local', CGO_ENABLED: '0' },
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => (output += text));
  child.stdin.on('error', () => {});
  child.stdin.end(input);
  const code = await new Promise<number | null | undefined>((resolve, reject) => {
    child.on('error', (error: NodeJS.ErrnoException) => (error.code === 'ENOENT' ? resolve(undefined) : reject(error)));
    child.on('close', resolve);
  });
  if (code !== undefined) return { code, output };
  t.log(`skipped: ${program} is not installed`);
  t.pass();
  return undefined;
}
