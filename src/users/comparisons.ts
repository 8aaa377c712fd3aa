import { Worker } from 'node:worker_threads';
import { RegistryError } from '../oci/error.ts';

/** A password to be compared, as it goes to the thread. */
export interface Question {
  readonly id: number;
  readonly password: string;
  readonly hash: string;
}

/** How many passwords may wait: some seconds of computing. */
const MOST = 16;

/** Compares passwords with hashes of bcrypt, on a thread that begins with the first one. */
export class Comparisons implements Disposable {
  readonly #asked = new Map<number, PromiseWithResolvers<boolean>>();
  #worker: Worker | undefined;
  #count = 0;

  /** Throws TOOMANYREQUESTS when too many are waiting. */
  async compare(password: string, hash: string): Promise<boolean> {
    if (this.#asked.size >= MOST) {
      throw new RegistryError('TOOMANYREQUESTS', 'too many logins at once: try again', {
        headers: { 'Retry-After': '2' },
      });
    }
    const id = this.#count++;
    const answer = Promise.withResolvers<boolean>();
    this.#asked.set(id, answer);
    this.#worker ??= this.#start();
    const question: Question = { id, password, hash };
    this.#worker.postMessage(question);
    return answer.promise;
  }

  [Symbol.dispose](): void {
    void this.#worker?.terminate();
    this.#lose(new Error('the gateway is stopping'));
  }

  #start(): Worker {
    const worker = new Worker(new URL('./worker.ts', import.meta.url));
    worker.unref();
    worker.on('message', ({ id, isRight }: { readonly id: number; readonly isRight: boolean }) => {
      this.#asked.get(id)?.resolve(isRight);
      this.#asked.delete(id);
    });
    worker.on('error', (error) => this.#lose(error));
    return worker;
  }

  #lose(error: unknown): void {
    this.#worker = undefined;
    for (const { reject } of this.#asked.values()) reject(error);
    this.#asked.clear();
  }
}
