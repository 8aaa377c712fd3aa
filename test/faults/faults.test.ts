import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import test from 'ava';
import { Report } from './case.ts';
import { cases } from './cases.ts';
import { FAILED } from './seeds.ts';

/** What of the campaign is cheap enough for every change, with as many runs. */
const SHORT: Readonly<Record<string, number>> = { 'killed-gateway': 1, 'upstream-cuts': 3, 'flipped-bytes': 3 };
const program = resolve(import.meta.dirname, '../../bin/layover.js');

for (const { name, shows, play } of cases.filter((one) => one.name in SHORT)) {
  test.serial(shows, async (t) => {
    t.timeout(180_000);
    const dir = await mkdtemp(join(tmpdir(), 'layover-faults-'));
    t.teardown(() => rm(dir, { recursive: true, force: true, maxRetries: 5 }));
    const seed = Date.now() % 1_000_000;
    const report = new Report(name, {
      dir,
      program,
      seed,
      count: SHORT[name] ?? 1,
      quick: true,
      first: FAILED[name] ?? [],
    });
    await report.folder('.');
    await play(report);
    t.deepEqual(report.violations, [], `npm run test:faults -- --case ${name} --seed ${seed} --quick`);
  });
}
