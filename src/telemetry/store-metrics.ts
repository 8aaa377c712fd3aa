import { Gauge, type Registry } from 'prom-client';
import { subscribe } from '../events.ts';
import { counter } from './counter.ts';

/** Counts what happens to the space of the cache; returns what ends that. */
export function storeMetrics(registry: Registry): readonly (() => void)[] {
  return [...space(registry), ...eviction(registry)];
}

function space(registry: Registry): readonly (() => void)[] {
  const registers = [registry];
  const used = new Gauge({
    name: 'layover_store_used_bytes',
    help: 'What the cache takes on disk, partial downloads included.',
    aggregator: 'max',
    registers,
  });
  const reserved = new Gauge({
    name: 'layover_store_reserved_bytes',
    help: 'What is set aside for bytes on their way in.',
    registers,
  });
  const limit = new Gauge({
    name: 'layover_store_limit_bytes',
    help: 'What the cache may take in all at this moment.',
    aggregator: 'max',
    registers,
  });
  const parked = new Gauge({
    name: 'layover_store_parked_bytes',
    help: 'Partial downloads in the spool, allocated.',
    aggregator: 'max',
    registers,
  });
  const failing = new Gauge({
    name: 'layover_store_disk_failing',
    help: '1 while the disk cannot be written.',
    aggregator: 'max',
    registers,
  });
  const refused = counter(registry, 'layover_store_refusals_total', 'Reservations of space that were refused.');
  return [
    subscribe('space', (event) => {
      if (event.phase === 'refused') refused(1);
      else if (event.phase === 'state') {
        used.set(event.used);
        reserved.set(event.reserved);
        limit.set(event.limit);
      } else failing.set(event.phase === 'failing' ? 1 : 0);
    }),
    subscribe('parked', ({ bytes }) => parked.set(bytes)),
  ];
}

function eviction(registry: Registry): readonly (() => void)[] {
  const images = counter(registry, 'layover_evicted_images_total', 'Images that were evicted whole.');
  const bytes = counter(registry, 'layover_evicted_bytes_total', 'Bytes on disk that eviction made free.');
  const ready = new Gauge({
    name: 'layover_index_ready',
    help: '1 while the index knows everything that is stored.',
    aggregator: 'min',
    registers: [registry],
  });
  return [
    subscribe('eviction', (event) => {
      images(event.images);
      bytes(event.bytes);
    }),
    subscribe('index', ({ state }) => ready.set(state === 'ready' ? 1 : 0)),
  ];
}
