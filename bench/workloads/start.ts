import { randomBytes } from 'node:crypto';
import { closeSync, mkdirSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Row } from '../measures.ts';
import { startLayover } from '../servers/layover.ts';
import { residentMiB } from '../usage.ts';
import type { Turn, Workload } from '../workload.ts';

/** Milliseconds. */
const SETTLING = 500;
const READY = [{ atMost: 300 }];

const TO_PORT: Row = { name: 'start to open port', unit: 'ms' };
const IDLE: Row = { name: 'memory after the start', unit: 'MiB', goals: [{ atMost: 70 }] };
const EMPTY: Row = { name: 'ready, of its life: empty', unit: 'ms', goals: READY };
const SOME: Row = { name: 'ready, of its life: 20,000 blobs', unit: 'ms', goals: READY };
const MANY: Row = { name: 'ready, of its life: 1,000,000 blobs', unit: 'ms', goals: READY };

export const start: Workload = {
  name: 'start',
  about: 'how long servers take to start, and what they hold before anything was asked',
  rows: [TO_PORT, IDLE, EMPTY, SOME, MANY],
  isQuick: true,
  async measure(turn) {
    const { field, measures, round, isQuick } = turn;
    for (const kind of field.kinds) {
      await using server = await kind.start(await field.bed(`start ${kind.name} ${round}`));
      measures.add(TO_PORT, kind.name, server.startTime);
      await sleep(SETTLING);
      measures.add(IDLE, kind.name, residentMiB(server.pid));
    }
    await untilReady(turn, EMPTY, `ready empty ${round}`);
    await untilReady(turn, isQuick ? SOME : MANY, 'ready full', isQuick ? 20_000 : 1_000_000);
  },
};

/** Blobs are there from the first round on. */
async function untilReady({ field, measures, round }: Turn, row: Row, name: string, blobs: number = 0): Promise<void> {
  const bed = await field.bed(name);
  if (round === 0 && blobs > 0) fillStore(join(bed.dir, 'data', 'cache', 'blobs', 'sha256'), blobs);
  await using layover = await startLayover(bed);
  measures.add(row, 'layover', layover.readyAfter);
}

/** Blobs where a store keeps them; that they are empty makes no difference to who would walk them. */
function fillStore(root: string, blobs: number): void {
  for (let prefix = 0; prefix < 256; prefix++)
    mkdirSync(join(root, prefix.toString(16).padStart(2, '0')), { recursive: true, mode: 0o700 });
  for (let at = 0; at < blobs; at++) {
    const name = randomBytes(32).toString('hex');
    closeSync(openSync(join(root, name.slice(0, 2), name), 'w'));
  }
}
