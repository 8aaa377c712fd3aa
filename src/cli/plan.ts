import { loadConfig, readText } from '../config/load.ts';
import { planOf } from '../fleet/plan.ts';

/** A program: prints the plan of a configuration, as JSON. It is apart so that a supervisor needs not keep what reads one. */
const [file] = process.argv.slice(2);
const source = { env: process.env, cwd: process.cwd(), ...(file !== undefined && { file }) };
try {
  const text = await readText(source);
  process.stdout.write(JSON.stringify(planOf(await loadConfig({ ...source, text }), text)));
} catch (error) {
  process.stderr.write(error instanceof Error ? error.message : String(error));
  process.exitCode = 2;
}
