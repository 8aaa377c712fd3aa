import type { Request } from '../connection.ts';
import type { Row } from '../measures.ts';
import { cpuSeconds } from '../usage.ts';
import type { WarmContent } from '../warm-content.ts';
import type { Turn, Workload } from '../workload.ts';

const CONNECTIONS = 32;
const GREETINGS = 8;
const PROMPT = [
  { of: 'nginx files', atLeast: 0.6 },
  { of: 'docker-registry', atLeast: 30 },
] as const;

/** A kind of small answer, by the rows that come of it. */
interface Small {
  readonly isQuick: boolean;
  readonly rate: Row;
  readonly p50: Row;
  readonly p99: Row;
  readonly requests: (content: WarmContent) => readonly Request[];
}

function small(what: string, method: 'GET' | 'HEAD', isQuick: boolean, requests: Small['requests']): Small {
  const name = `warm ${what}, ${CONNECTIONS} connections`;
  return {
    isQuick,
    requests,
    rate: { name, unit: `${method}/s`, goals: PROMPT },
    p50: { name, unit: `p50 ms of ${method}` },
    p99: { name, unit: `p99 ms of ${method}`, goals: [{ atMost: 8 }] },
  };
}

const SMALL: readonly Small[] = [
  small('manifests', 'GET', true, ({ manifest }) => [manifest]),
  small('manifests', 'HEAD', false, ({ manifest }) => [{ ...manifest, method: 'HEAD' }]),
  small('4 KiB blobs', 'GET', false, ({ tinyBlobs }) => tinyBlobs),
];

export const warmSmall: Workload = {
  name: 'warm small',
  about: 'manifests and small blobs that every server has, as fast as they come',
  rows: SMALL.flatMap(({ rate, p50, p99 }) => [rate, p50, p99]),
  isQuick: true,
  async measure({ field, measures, time, isQuick }) {
    await field.warm();
    for (const { rate, p50, p99, requests } of SMALL.filter((one) => one.isQuick || !isQuick))
      for (const { name, target } of field.servers) {
        const pressed = await field.loaders.press(target, requests(field.content), CONNECTIONS, time);
        measures.add(rate, name, pressed.requests / (time / 1000));
        measures.add(p50, name, pressed.p50);
        measures.add(p99, name, pressed.p99);
      }
  },
};

const GREETED: Row = { name: `full TLS handshakes, ${GREETINGS} at a time`, unit: 'per s' };
const GREETED_COST: Row = { name: GREETED.name, unit: 'CPU ms each' };

export const handshakes: Workload = {
  name: 'handshakes',
  about: 'new connections, as fast as they come',
  rows: [GREETED, GREETED_COST],
  async measure({ field, measures, time }: Turn) {
    for (const { name, pid, target } of field.servers) {
      const cpu: number[] = [];
      const count = await field.loaders.greet(target, GREETINGS, time, () => cpu.push(cpuSeconds(pid)));
      const [before = 0, after = 0] = cpu;
      measures.add(GREETED, name, count / (time / 1000));
      measures.add(GREETED_COST, name, ((after - before) * 1000) / count);
    }
  },
};
