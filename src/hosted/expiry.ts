import { publish } from '../events.ts';
import type { FileBackend } from '../store/file-backend.ts';
import type { Sessions } from './sessions.ts';

/** Milliseconds without a byte after which an upload is given up, and how often that is looked for. */
const UPLOAD_LIFE = 24 * 3_600_000;
const EVERY = UPLOAD_LIFE / 24;

/** Removes uploads that nobody goes on with, and what killed processes left of unfinished writes, now and every hour. */
export function keepExpiring(sessions: Sessions, backend: Pick<FileBackend, 'sweep'>): Disposable {
  const look = async (): Promise<void> => {
    const olderThan = new Date(Date.now() - UPLOAD_LIFE);
    const removed = await sessions.expire(olderThan);
    await backend.sweep(olderThan);
    if (removed > 0) publish('notice', { level: 'info', message: `${removed} abandoned uploads were removed` });
  };
  const tell = (error: unknown): void =>
    publish('notice', { level: 'warn', message: 'cannot look for abandoned uploads', error });
  const timer = setInterval(() => void look().catch(tell), EVERY).unref();
  void look().catch(tell);
  return { [Symbol.dispose]: () => clearInterval(timer) };
}
