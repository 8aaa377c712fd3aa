import { randomBytes } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Field } from '../field.ts';
import type { Measures, Row } from '../measures.ts';
import { startLayover } from '../servers/layover.ts';

const OBJECTS = 20_000;

const TO_PORT: Row = { name: 'start to open port', unit: 'ms' };
const EMPTY: Row = { name: 'ready, of its life: empty', unit: 'ms', goals: [{ atMost: 300 }] };
const FULL: Row = { name: `ready, of its life: ${OBJECTS} blobs`, unit: 'ms', goals: [{ atMost: 300 }] };

/** How long the servers that run took to start. */
export function measureFirstStart({ servers }: Field, measures: Measures): void {
  for (const { name, startTime } of servers) measures.add(TO_PORT, name, startTime);
}

/** How long Layover takes until it is ready, with an empty and with a full store. */
export async function measureStart(field: Field, measures: Measures, round: number): Promise<void> {
  for (const row of [EMPTY, FULL]) {
    const bed = await field.bed(`start ${row === FULL ? 'full' : `empty ${round}`}`);
    if (row === FULL && round === 0) await fillStore(join(bed.dir, 'data', 'cache', 'blobs', 'sha256'));
    await using layover = await startLayover(bed);
    measures.add(row, 'layover', layover.readyAfter);
  }
}

/** Blobs where a store keeps them; that they are small makes no difference to who would walk them. */
async function fillStore(root: string): Promise<void> {
  const names = Array.from({ length: OBJECTS }, () => randomBytes(32).toString('hex'));
  for (const prefix of new Set(names.map((name) => name.slice(0, 2)))) {
    await mkdir(join(root, prefix), { recursive: true, mode: 0o700 });
  }
  for (let at = 0; at < names.length; at += 100) {
    await Promise.all(names.slice(at, at + 100).map((name) => writeFile(join(root, name.slice(0, 2), name), name)));
  }
}
