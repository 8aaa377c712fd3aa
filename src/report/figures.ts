import { bytesText, countText, shareText } from '../html/figures.ts';
import { type Counts, hitRatio } from './tally.ts';

const two = (value: number): string => String(value).padStart(2, '0');

/** In the time zone of this machine: `2026-11-21 14:05`, or the day alone. */
export function timeText(iso: string, span: 'minute' | 'day' = 'minute'): string {
  const time = new Date(iso);
  const day = `${time.getFullYear()}-${two(time.getMonth() + 1)}-${two(time.getDate())}`;
  return span === 'day' ? day : `${day} ${two(time.getHours())}:${two(time.getMinutes())}`;
}

/** The figures of a row, in the order of {@link COLUMNS}. */
export function cells(counts: Counts): readonly string[] {
  const { requests, misses, bypasses, failures, bytes, saved } = counts;
  return [
    countText(requests),
    shareText(hitRatio(counts)),
    countText(misses),
    countText(bypasses),
    countText(failures),
    bytesText(bytes),
    bytesText(saved),
  ];
}

export const COLUMNS = ['requests', 'hits', 'misses', 'bypassed', 'failed', 'sent', 'saved'] as const;
