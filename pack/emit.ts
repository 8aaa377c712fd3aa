import { cp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { stripTypeScriptTypes } from 'node:module';
import { extname, join } from 'node:path';

/**
 * A program: writes `src/` as JavaScript into `dist/`, since Node strips no types below `node_modules`. Types become blanks
 * and names of files keep their length, so that every line and column stays where it was written.
 */
const ROOT = join(import.meta.dirname, '..');
const DIST = join(ROOT, 'dist');

await rm(DIST, { recursive: true, force: true });
await cp(join(ROOT, 'src'), DIST, { recursive: true });
for (const name of await readdir(DIST, { recursive: true })) {
  if (extname(name) !== '.ts') continue;
  const file = join(DIST, name);
  await writeFile(file.replace(/\.ts$/, '.js'), toJavaScript(await readFile(file, 'utf8')));
  await rm(file);
}

/** What a file imports and what it starts by a relative name ends in `.js` then. */
function toJavaScript(source: string): string {
  return stripTypeScriptTypes(source).replace(/(['"])(\.{1,2}\/[^'"\n]*)\.ts\1/g, '$1$2.js$1');
}
