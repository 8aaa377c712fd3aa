import { subscribe } from '../events.ts';

/** What an operator has to know of the disk. */
export interface DiskWatch extends Disposable {
  readonly warnings: readonly string[];
}

/** Follows how the disk stands until disposed of. */
export function watchDisk(): DiskWatch {
  let warnings: readonly string[] = [];
  const unsubscribe = subscribe('space', (event) => {
    if (event.phase === 'failing')
      warnings = [`the disk cannot be written (${event.code}): what is pulled passes through without being kept`];
    else if (event.phase === 'recovered') warnings = [];
  });
  return {
    get warnings() {
      return warnings;
    },
    [Symbol.dispose]: unsubscribe,
  };
}
