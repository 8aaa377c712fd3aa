import { drain, fetchOnce } from './jobs/fetch.ts';
import { greet } from './jobs/greet.ts';
import type { Job } from './jobs/job.ts';
import { press } from './jobs/press.ts';
import { release, stall } from './jobs/stall.ts';

/** A process that puts load on servers, one job at a time. */
process.on('message', async (job: Job) => {
  try {
    process.send?.({ result: await work(job) });
  } catch (error) {
    process.send?.({ failed: String(error) });
  }
});
process.once('disconnect', () => process.exit());

async function work(job: Job): Promise<unknown> {
  switch (job.kind) {
    case 'press':
      return press(job);
    case 'fetch':
      return fetchOnce(job);
    case 'drain':
      return drain(job);
    case 'greet':
      return greet(job);
    case 'stall':
      return stall(job);
    case 'release':
      return release();
  }
}
