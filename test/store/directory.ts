import { mkdtempSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';

/** A directory of this test's own, gone when the test is over. */
export function directoryOf(t: ExecutionContext, parent = tmpdir()): string {
  const path = mkdtempSync(join(parent, 'layover-store-'));
  t.teardown(() => rm(path, { recursive: true, force: true, maxRetries: 5 }));
  return path;
}
