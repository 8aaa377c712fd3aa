import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { publish, subscribe } from '../../src/events.ts';
import { ContentIndex } from '../../src/index/content-index.ts';
import { digestOf } from '../../src/oci/digest.ts';

// A program of its own, in a namespace where it may mount: an index on a disk that is soon full.
const [root = ''] = process.argv.slice(2);
const directory = join(root, 'index');
mkdirSync(directory);
execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=512k', 'tmpfs', directory]);
const notices: string[] = [];
subscribe('notice', ({ message }) => notices.push(message));
const index = new ContentIndex(directory, join(root, 'cache'));
index.start();

async function store(name: string, objects: number): Promise<number> {
  for (let object = 0; object < objects; object += 1) {
    const digest = digestOf(Buffer.from(`${name} ${object}`));
    publish('content', { phase: 'stored', digest, size: 1, repository: 'docker.io/library/a' });
  }
  return (await index.inventory({ repositories: [], digests: [] }))?.ids.length ?? 0;
}

for (let round = 0; round < 5; round += 1) await store(String(round), 2000);
while (index.state !== 'ready') await sleep(10);
const sizes = [await store('before', 1), await store('after', 100)];
const left = readdirSync(directory);
await index[Symbol.asyncDispose]();
process.stdout.write(JSON.stringify({ notices, sizes, left }));
