import { configSchema } from '../config/json-schema.ts';

/** Prints the JSON Schema of the configuration file, for editors. */
export function showSchema(): number {
  process.stdout.write(`${JSON.stringify(configSchema(), null, 2)}\n`);
  return 0;
}
