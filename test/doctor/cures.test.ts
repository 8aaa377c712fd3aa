import { join } from 'node:path';
import test from 'ava';
import { canOverlay, runApart } from './apart.ts';
import { said } from './findings.ts';

test('what the doctor says is typed as it stands, and then it finds nothing any more', async (t) => {
  t.timeout(300_000);
  const programs = ['update-ca-certificates'];
  const outcomes = canOverlay() ? await runApart(join(import.meta.dirname, 'cures.ts'), programs) : undefined;
  if (outcomes === undefined) {
    t.log('skipped: needs root, overlay mounts, unshare, ip and update-ca-certificates');
    return t.pass();
  }
  const [first, cured, second, healthy] = [
    outcomes['before the first cure'],
    outcomes['after the first cure'],
    outcomes['before the second cure'],
    outcomes['after the second cure'],
  ];
  t.is(first?.code, 1);
  t.regex(
    said(first?.findings ?? []).join('\n'),
    /the registry's own IPv6 address is given.*this machine does not trust/s,
  );
  t.is(second?.code, 1);
  t.regex(said(second?.findings ?? []).join('\n'), /no registry's name leads to gateway\.lan/);
  for (const outcome of [cured, healthy]) {
    t.is(outcome?.code, 0);
    t.deepEqual(
      said(outcome?.findings ?? []).filter((line) => !line.startsWith('ok: ')),
      [],
    );
  }
  return undefined;
});
