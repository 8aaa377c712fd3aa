import { ContentIndex } from '../../src/index/content-index.ts';

/** A program: one of several processes with the same index. It begins with its input, and tells how many objects it knows. */
const [directory = '', cache = '', claims = ''] = process.argv.slice(2);
const index = new ContentIndex(directory, cache, claims);
await new Promise((resolve) => process.stdin.once('data', resolve));
index.start();
while (index.state !== 'ready') await new Promise((resolve) => setTimeout(resolve, 10));
const inventory = await index.inventory({ repositories: [], digests: [] });
await index[Symbol.asyncDispose]();
process.stdout.write(String(inventory?.ids.length));
process.stdin.destroy();
