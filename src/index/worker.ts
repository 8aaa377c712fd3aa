import { parentPort, workerData } from 'node:worker_threads';
import { Indexer } from './indexer.ts';
import type { Question, Setting } from './questions.ts';

/** The thread that has the database: SQLite waits for the disk, and nothing that serves clients may. */
const port = parentPort;
if (port === null) throw new Error('this is the entry of a worker thread');
const indexer = new Indexer(workerData as Setting, (report) => port.postMessage(report));
port.on('message', ({ id, question }: { readonly id: number; readonly question: Question }) => {
  indexer.answer(question).then(
    (answer) => port.postMessage({ id, answer }, buffersOf(answer)),
    (error: unknown) => port.postMessage({ id, error }),
  );
});

/** What can be handed over without a copy: the arrays of an inventory. */
function buffersOf(answer: unknown): ArrayBuffer[] {
  const parts: unknown[] = typeof answer === 'object' && answer !== null ? Object.values(answer) : [];
  return parts.flatMap((part) => (ArrayBuffer.isView(part) && part.buffer instanceof ArrayBuffer ? [part.buffer] : []));
}
