import { secure } from '../connection.ts';
import type { Job } from './job.ts';
import { isWithin } from './press.ts';

/** Makes full handshakes, so many at a time, and resolves with how many of them ended within the span. */
export async function greet(job: Job & { kind: 'greet' }): Promise<number> {
  let count = 0;
  const greetings = Array.from({ length: job.connections }, async () => {
    while (performance.timeOrigin + performance.now() < job.endAt) {
      const socket = await secure(job.target);
      if (isWithin(job)) count++;
      socket.destroy();
    }
  });
  await Promise.all(greetings);
  return count;
}
