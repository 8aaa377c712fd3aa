import { join } from 'node:path';
import { runIsolated } from '../../test/clients/namespace.ts';
import { prepareRelease } from '../../test/clients/releases.ts';
import type { Target } from '../connection.ts';
import { addImage } from '../images.ts';
import type { Column, Row } from '../measures.ts';
import type { Pull } from '../pull-process.ts';
import type { Turn, Workload } from '../workload.ts';

const PROGRAM = join(import.meta.dirname, '..', 'pull-process.ts');
const SHAPE = { layers: 12, size: 83_333_333 };
const CLIENTS = ['containerd', 'skopeo'] as const;
/** Each of them stores two gigabytes in a round. */
const COMPARED: readonly Column[] = ['layover', 'docker-registry'];
const TIMEOUT = 300_000;

const ROWS = CLIENTS.map((client) => {
  const name = `1 GB in 12 layers by ${client}`;
  return { client, cold: { name: `${name}, cold`, unit: 's' }, warm: { name: `${name}, warm`, unit: 's' } };
});

export const largeImage: Workload = {
  name: 'large image',
  about: 'a 1 GB image of 12 layers by containerd 2 and skopeo, unpaced',
  rows: ROWS.flatMap(({ cold, warm }) => [cold, warm]),
  rounds: 2,
  async cannot() {
    if (process.getuid?.() !== 0) return 'it needs root, to give the clients mounts of their own';
    console.error('preparing clients of Debian unstable, unless they are there: minutes the first time …');
    return prepareRelease('sid').then(
      () => undefined,
      (reason: Error) => `there are no clients of Debian unstable: ${reason.message}`,
    );
  },
  async measure(turn) {
    for (const { client, cold, warm } of ROWS) await pullAll(turn, client, cold, warm);
  },
};

/** One machine for all pulls of a client, so that all of them find the same. */
async function pullAll(turn: Turn, client: Pull['client'], cold: Row, warm: Row): Promise<void> {
  const { field, measures, round } = turn;
  const plan: { readonly row: Row; readonly column: Column; readonly target: Target; readonly tag: string }[] = [];
  const servers = field.servers.filter(({ name }) => COMPARED.includes(name));
  for (const { name, target } of servers) {
    const { tag } = await addImage(field.origin, `large-${client}-${name}-${round}`, SHAPE);
    plan.push({ row: cold, column: name, target, tag }, { row: warm, column: name, target, tag });
    if (name === 'layover') plan.unshift({ row: cold, column: 'direct', target: field.origin.target, tag });
  }
  const pulls: Pull[] = plan.map(({ target: { port }, tag }) => ({ client, port, tag }));
  const trust = [...new Set(plan.map(({ target: { ca } }) => ca))].join('\n');
  const args = ['--folder', await prepareRelease('sid'), `--trust=${trust}`, '--pulls', JSON.stringify(pulls)];
  let at = 0;
  const note = (line: string): void => {
    const pulled = plan[at++];
    if (pulled !== undefined) measures.add(pulled.row, pulled.column, Number(line));
  };
  await runIsolated(PROGRAM, args, TIMEOUT, note, 'shared');
}
