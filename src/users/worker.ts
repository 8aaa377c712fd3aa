import { parentPort } from 'node:worker_threads';
import { compareSync } from 'bcryptjs';
import type { Question } from './comparisons.ts';

/** The thread that computes: a single password takes a quarter of a second, in which nobody would be served. */
const port = parentPort;
if (port === null) throw new Error('this is the entry of a worker thread');
port.on('message', ({ id, password, hash }: Question) => {
  port.postMessage({ id, isRight: compareSync(password, hash) });
});
