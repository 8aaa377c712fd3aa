import { openLineWriter } from '../../src/telemetry/line-writer.ts';

/** A program: one of several processes that write to the same log, `count` lines a few at a time. */
const [file = '-', name = '', count = '0', maxSize = '0', keep = '0'] = process.argv.slice(2);
const lines = openLineWriter(file, { maxSize: Number(maxSize), keep: Number(keep) }, true);
for (let index = 0; index < Number(count); index += 1) {
  lines.write(`${name}-${index} ${'x'.repeat(200 + (index % 7) * 50)} end\n`);
  if (index % 20 === 19) await new Promise((resolve) => setTimeout(resolve, 22));
}
await lines.close();
