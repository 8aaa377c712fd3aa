import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { readReport, runProgram } from './program.ts';

const tree = `Test results
OCI Conformance Test: FAIL
  OCI Conformance Test/ping: Pass
  OCI Conformance Test/pull: FAIL
    OCI Conformance Test/pull/blob-get: Pass
    OCI Conformance Test/pull/blob-get: FAIL
     - blob get failed: expected 404
received 401
  OCI Conformance Test/push: Disabled
`;

test('a report gives the leaves of its tree, equal names too, and what they complain of', (t) => {
  t.deepEqual(readReport(`${tree}\nConfiguration:\n  OCI Conformance Test/pull: Pass\n`), [
    { test: 'ping', status: 'passed', complaint: '' },
    { test: 'pull/blob-get', status: 'passed', complaint: '' },
    { test: 'pull/blob-get', status: 'failed', complaint: '- blob get failed: expected 404\nreceived 401' },
    { test: 'push', status: 'skipped', complaint: '' },
  ]);
});

async function program(t: ExecutionContext, output: string): Promise<readonly [string, string]> {
  const dir = await mkdtemp(join(tmpdir(), 'layover-program-'));
  t.teardown(() => rm(dir, { recursive: true }));
  const file = join(dir, 'program');
  await writeFile(file, `#!/bin/sh\ncat <<'END'\n${output}\nEND\necho 'out of luck' >&2\nexit 2\n`);
  await chmod(file, 0o755);
  return [file, join(dir, 'results')];
}

test('a program counts by its report, not by how it ends', async (t) => {
  const verdicts = await runProgram(...(await program(t, `${tree}\nOCI Conformance Result: FAIL`)), {});
  t.deepEqual(
    verdicts.map(({ status }) => status),
    ['passed', 'passed', 'failed', 'skipped'],
  );
});

test('a program whose report has no end, or another one than its tests, has failed', async (t) => {
  await t.throwsAsync(runProgram(...(await program(t, tree)), {}), { message: /out of luck/ });
  await t.throwsAsync(runProgram(...(await program(t, `${tree}\nOCI Conformance Result: Pass`)), {}), {
    message: /Pass/,
  });
});
