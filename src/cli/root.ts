import { join } from 'node:path';
import type { Config } from '../config/config.ts';
import type { Root } from '../tls/root.ts';

/** Prints the root CA that clients are to trust, and every name it can vouch for. */
export async function showRoot(
  config: Config,
  open: (config: Config) => Promise<Root>,
  json: boolean,
): Promise<number> {
  const { fingerprint, notAfter, permitted } = await open(config);
  const file = join(config.certs.dir, 'ca.crt');
  if (json) {
    process.stdout.write(`${JSON.stringify({ file, fingerprint, notAfter, permitted })}\n`);
    return 0;
  }
  const names = [...permitted.dns, ...permitted.ips].map((name) => `  ${name}`);
  process.stdout.write(
    `file         ${file}\nSHA-256      ${fingerprint}\nvalid until  ${notAfter.toISOString()}\nvouches for these names, names below them, and nothing else:\n${names.join('\n')}\n`,
  );
  return 0;
}
