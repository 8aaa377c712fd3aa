import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const execute = promisify(execFile);

/** Runs a program to its end and resolves to what it printed; throws with what it complained of. */
export async function run(
  program: string,
  args: readonly string[],
  { cwd, env = {} }: { readonly cwd?: string; readonly env?: NodeJS.ProcessEnv } = {},
): Promise<string> {
  const options = { env: { ...process.env, ...env }, maxBuffer: 2 ** 26, ...(cwd !== undefined && { cwd }) };
  try {
    return (await execute(program, args, options)).stdout.trim();
  } catch (error) {
    const { code, stderr = '' } = error as { code?: unknown; stderr?: string };
    if (code === 'ENOENT') throw new Error(`an archive is made with ${program}, which is not here`, { cause: error });
    throw new Error(`${program} ${args.join(' ')} failed:\n${stderr.trim()}`, { cause: error });
  }
}
