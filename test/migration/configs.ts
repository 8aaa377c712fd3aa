import type { Config } from '../../src/config/config.ts';
import { loadConfig } from '../../src/config/load.ts';
import { fromDistribution } from '../../src/migration/distribution.ts';
import type { Migration } from '../../src/migration/gateway.ts';
import { fromZot } from '../../src/migration/zot.ts';

export interface Loaded extends Migration {
  /** As our own loader understands it. */
  readonly config: Config;
}

interface Choices {
  readonly map?: Readonly<Record<string, string>>;
  /** User names by host; undefined for a credentials file that is not there. */
  readonly accounts?: Readonly<Record<string, string>>;
}

export async function zot(written: unknown, { map = {}, accounts }: Choices = {}): Promise<Loaded> {
  const text = typeof written === 'string' ? written : JSON.stringify(written, undefined, '\t');
  const found = accounts && new Map(Object.entries(accounts));
  return loaded(fromZot('config.json', text, new Map(Object.entries(map)), () => found));
}

export async function distribution(text: string, { map = {} }: Choices = {}): Promise<Loaded> {
  return loaded(fromDistribution('config.yml', text, new Map(Object.entries(map))));
}

async function loaded(migration: Migration): Promise<Loaded> {
  const config = await loadConfig({ file: 'gateway.yaml', text: migration.text, env: {}, cwd: '/srv' });
  return { ...migration, config };
}
