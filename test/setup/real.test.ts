import { join } from 'node:path';
import test from 'ava';
import { runIsolated } from '../clients/namespace.ts';
import { canIsolate, missing } from '../faults/namespace.ts';
import { SCENES } from './real-scenes.ts';

const PROGRAM = join(import.meta.dirname, 'real-scene.ts');
const absent = await missing(['podman', 'skopeo', 'dockerd', 'containerd', 'update-ca-certificates', 'ip']);
const obstacle = !(await canIsolate())
  ? 'mounts of its own cannot be had here'
  : absent.length > 0
    ? `there is no ${absent.join(', ')}`
    : undefined;

for (const name of SCENES.keys()) {
  // One at a time: each has a gateway, a registry and daemons of its own.
  test.serial(`${name}: set up by the command it pulls from the cache, undone there is no trace`, async (t) => {
    t.timeout(300_000);
    if (obstacle !== undefined) t.log(`skipped: ${obstacle}`);
    else await runIsolated(PROGRAM, [name], 280_000, (line) => t.log(line));
    t.pass();
  });
}
