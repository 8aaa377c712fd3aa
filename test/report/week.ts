import type { RequestEvent } from '../../src/events.ts';
import { jsonLine } from '../../src/telemetry/access-log.ts';
import { requestEvent } from '../telemetry/events.ts';

const IMAGES = ['library/nginx', 'library/postgres', 'jellyfin/jellyfin', 'grafana/grafana', 'library/alpine'];
const OUTCOMES = [
  ...Array<Partial<RequestEvent>>(12).fill({ cache: 'hit', why: 'stored' }),
  ...Array<Partial<RequestEvent>>(4).fill({ cache: 'revalidated', why: 'unchanged' }),
  { cache: 'collapsed', why: 'being-fetched' },
  { cache: 'miss', why: 'first-time', total: 9000 },
  { cache: 'miss', why: 'tag-moved', total: 700 },
  { cache: 'bypass', why: 'not-cacheable' },
  { cache: 'none', why: 'UNAVAILABLE', status: 504 },
] as const satisfies readonly Partial<RequestEvent>[];

/** The access log of some days that end at `end`, in which more happens by day than by night. */
export function logOfDays(days: number, end: Date, names: readonly string[] = IMAGES): string {
  const lines: string[] = [];
  for (let hour = 0; hour < days * 24; hour += 1) {
    const requests = 3 + Math.round(20 * Math.sin((hour / 24) * Math.PI) ** 2);
    for (let index = 0; index < requests; index += 1) {
      const seed = hour * 31 + index * 7;
      const event = requestEvent({
        client: `192.0.2.${10 + (seed % 9)}`,
        upstream: 'docker.io',
        repository: names[seed % names.length] ?? '',
        bytes: 40_000 * (1 + (seed % 97)),
        total: 40 + (seed % 400),
        ...OUTCOMES[seed % OUTCOMES.length],
      });
      lines.push(jsonLine(event, new Date(end.getTime() - (days * 24 - hour) * 3_600_000)));
    }
  }
  return lines.join('');
}
