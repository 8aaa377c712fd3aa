import { publish } from '../events.ts';

/** What became of a configuration that was read again: paths of keys. */
interface Reloaded {
  readonly applied: readonly string[];
  readonly pending: readonly string[];
}

/** Reads the configuration again at each SIGHUP, one after the other; one with mistakes changes nothing. */
export function onReload(reload: () => Promise<Reloaded>): void {
  let reloading = Promise.resolve();
  process.on('SIGHUP', () => {
    reloading = reloading.then(() => tell(reload));
  });
}

async function tell(reload: () => Promise<Reloaded>): Promise<void> {
  try {
    const { applied, pending } = await reload();
    const changed = applied.length === 0 ? 'nothing else than before' : applied.join(', ');
    publish('notice', { level: 'info', message: `SIGHUP: the configuration was read again: ${changed}` });
    if (pending.length === 0) return;
    publish('notice', { level: 'warn', message: `changed, but in effect only after a restart: ${pending.join(', ')}` });
  } catch (error) {
    const message = 'SIGHUP: the configuration cannot be used, and the one before stays';
    publish('notice', { level: 'error', message, error });
  }
}

/** The signal that asks for an end; a second one does not wait: `hurry` is called, and the process ends with 1. */
export function whenEnded(hurry: () => void = () => undefined): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      process.once(signal, () => {
        resolve(signal);
        process.once(signal, () => {
          hurry();
          process.exit(1);
        });
      });
    }
  });
}
