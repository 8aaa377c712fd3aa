import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { runIsolated } from '../clients/namespace.ts';
import { canIsolate, missing } from '../faults/namespace.ts';
import { VARIANTS } from './variants.ts';

const PROGRAM = join(import.meta.dirname, 'walk.ts');
const absent = await missing(['nginx', 'skopeo', 'podman', 'curl', 'unshare']);
const why = absent.length > 0 ? `not here: ${absent.join(', ')}` : 'needs root, for namespaces';
const isRun = absent.length === 0 && (await canIsolate());

let said: Readonly<Record<string, string | number>> & { readonly variants?: Readonly<Record<string, string>> } = {};

test.before(async (t) => {
  if (!isRun) return t.log(`skipped: ${why}`);
  t.timeout(180_000);
  const dir = await mkdtemp(join(tmpdir(), 'layover-nginx-'));
  try {
    await runIsolated(PROGRAM, [dir], 150_000, (line) => {
      said = JSON.parse(line);
    });
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
});

/** Each is about one walk, which takes seconds. */
const walked = isRun ? test : test.skip;

/** Without what is another in both by design: the time, the version that the client spoke, and the query. */
function comparable(log: string, host: RegExp): string[] {
  const lines = log
    .trim()
    .split('\n')
    .filter((line) => host.test(line.split(' ')[3] ?? ''));
  return lines.map((line) => line.replace(/"[^"]*"/, '').replace(/(?:\?\S*)? HTTP\/[\d.]+"/, '"')).sort();
}

walked('the commands of the page put a gateway behind the nginx of Debian, which makes no complaint', (t) => {
  t.regex(String(said.front), /layover\.pem is new: .*conf\.d\/layover\.conf\n.*syntax is ok\n.*test is successful/s);
  t.notRegex(String(said.front), /warn|emerg|listen\.proxies/);
  t.regex(String(said.renewal), /stays/);
  t.regex(
    String(said.pull),
    / registry-1\.docker\.io "GET \/v2\/library\/alpine\/\S+ HTTP\/1\.1" 200 .* subpath:docker-images HIT\n$/,
  );
  t.deepEqual(
    String(said.errors)
      .split('\n')
      .filter((line) => !/^$|\[notice\]/.test(line)),
    [],
  );
});

walked('real nginx takes every other form of what is rendered', (t) => {
  t.deepEqual(Object.keys(said.variants ?? {}), Object.keys(VARIANTS));
  for (const [title, output] of Object.entries(said.variants ?? {})) {
    t.regex(output, /test is successful/, title);
    t.notRegex(output, /warn/, title);
  }
});

walked('clients pull through nginx, over HTTP/2 too, and again when the registry is down', (t) => {
  t.is(said.blobsOverHttp2, 3);
  const log = String(said.gatewayLog);
  const pulls = log.split('\n').filter((line) => /"skopeo.*(?:HIT|STALE)$/.test(line) && line.includes(' 200 '));
  t.true(pulls.some((line) => /manifests\/latest .* STALE$/.test(line)));
  t.true(pulls.filter((line) => line.includes('/blobs/')).length >= 3);
  t.regex(log, / ghcr\.io "GET \/v2\/acme\/tool\/blobs\/\S+ HTTP\/1\.1" 200 \d+ "-" "[^"]*containers\/image/);
});

walked('the challenge names the host that the client asked, whatever it speaks', (t) => {
  t.regex(String(said.curl), /^401 2 Bearer realm="https:\/\/ghcr\.io\/v2\/_layover\/token",service="ghcr\.io"/);
  t.regex(String(said.curlBefore), /^401 1\.1 Bearer realm="https:\/\/docker\.io\/v2\/_layover\/token"/);
  t.regex(String(said.plain), /^401 1\.1 Bearer realm="http:\/\/docker\.io\/v2\/_layover\/token"/);
});

walked('our own names are served through it as well, and pushes pass', (t) => {
  t.regex(String(said.path), /^HTTP\/2 200/);
  t.regex(String(said.page), /https:\/\/gateway\.lan\/ca\.crt/);
  t.is(said.pushed, 1);
});

walked('the gateway logs the client of nginx, and believes nobody who comes past it', (t) => {
  t.is(said.past, '421 1.1 ');
  const log = String(said.gatewayLog);
  t.regex(log, /^127\.0\.0\.5 .* ghcr\.io "GET \/v2\/ HTTP\/1\.1" 401 .* "elsewhere" subpath:ghcr-images -$/m);
  t.regex(log, /^127\.0\.0\.5 .* docker\.io "GET \/v2\/ HTTP\/1\.1" 421 .* "past" subpath:- -$/m);
  t.notRegex(log, /6\.6\.6\.6/);
});

walked('both logs say the same of every request for a registry', (t) => {
  const gateway = comparable(String(said.gatewayLog), /^(?!gateway)/).filter((line) => !line.includes('"past"'));
  t.true(gateway.length > 40);
  t.deepEqual(comparable(String(said.nginxLog), /^(?!gateway)/), gateway);
});

test('what was left out of this file is said', (t) => {
  if (!isRun) t.log(`the walk was skipped: ${why}`);
  t.pass();
});
