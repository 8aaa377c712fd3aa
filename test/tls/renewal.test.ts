import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, link, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { activateNextRoot, makeNextRoot, openRoot, readRoot } from '../../src/tls/root.ts';
import { certificateOf, issue, serve, shownNames, temporaryDirectory, temporaryRoot } from './fixture.ts';

const options = (dir: string) => ({ dir, permittedDns: ['registry.example', 'localhost'], permittedIps: [] });

test('the next root has a key and a name of its own, and the one before it goes on serving', async (t) => {
  const root = await temporaryRoot(t);
  const next = await makeNextRoot({ ...options(root.dir), permittedDns: ['added.example', 'localhost'] });
  t.not(next.fingerprint, root.fingerprint);
  const [before, after] = [certificateOf(root.certificatePem), certificateOf(next.certificatePem)];
  t.not(after.subject, before.subject);
  t.false(after.publicKey.equals(before.publicKey));
  t.true(next.covers('added.example'));
  t.is((await openRoot(options(root.dir))).fingerprint, root.fingerprint);
  t.is((await makeNextRoot(options(root.dir))).fingerprint, next.fingerprint, 'and it is made once');
  t.is((await stat(join(root.dir, 'next.key'))).mode & 0o777, 0o600);
});

test('activated, the next root serves, and the one before it is kept as previous', async (t) => {
  const { dir, fingerprint, certificatePem } = await temporaryRoot(t);
  const key = await readFile(join(dir, 'ca.key'), 'utf8');
  const next = await makeNextRoot(options(dir));
  t.true(await activateNextRoot(dir));
  const serving = await openRoot(options(dir));
  t.is(serving.fingerprint, next.fingerprint);
  t.deepEqual((await readdir(dir)).sort(), ['ca.crt', 'ca.key', 'previous.crt', 'previous.key']);
  t.is(await readFile(join(dir, 'previous.crt'), 'utf8'), certificatePem);
  t.is(await readFile(join(dir, 'previous.key'), 'utf8'), key);
  t.is(await readRoot(dir, 'next'), undefined);
  const { port } = await serve(t, issue(serving, 'localhost'));
  t.is(await shownNames({ port, ca: next.certificatePem, servername: 'localhost' }), 'DNS:localhost');
  for (const extension of ['crt', 'key'])
    await rename(join(dir, `previous.${extension}`), join(dir, `next.${extension}`));
  t.true(await activateNextRoot(dir));
  t.is((await openRoot(options(dir))).fingerprint, fingerprint, 'and can be brought back');
});

test('without a next root, or with one that is broken, nothing is switched', async (t) => {
  const { dir, fingerprint } = await temporaryRoot(t);
  t.false(await activateNextRoot(dir));
  await makeNextRoot(options(dir));
  await chmod(join(dir, 'next.key'), 0o640);
  await t.throwsAsync(activateNextRoot(dir), { message: /run: chmod 600 .*next\.key/ });
  await rm(join(dir, 'next.key'));
  await t.throwsAsync(activateNextRoot(dir), { message: /next\.key/ });
  t.is((await openRoot(options(dir))).fingerprint, fingerprint);
});

test('a switch that was cut off after its certificate is finished by whoever comes next', async (t) => {
  for (const finish of [
    (dir: string) => openRoot(options(dir)),
    (dir: string) => activateNextRoot(dir),
    (dir: string) => makeNextRoot(options(dir)),
  ]) {
    const { dir } = await temporaryRoot(t);
    const next = await makeNextRoot(options(dir));
    await link(join(dir, 'ca.key'), join(dir, 'previous.key'));
    await rename(join(dir, 'next.crt'), join(dir, 'ca.crt'));
    t.is((await readRoot(dir, 'ca'))?.fingerprint, next.fingerprint, 'it serves at once');
    await finish(dir);
    t.is((await openRoot(options(dir))).fingerprint, next.fingerprint);
    const key = await readFile(join(dir, 'ca.key'), 'utf8');
    t.not(key, await readFile(join(dir, 'previous.key'), 'utf8'));
  }
});

test('who reads while roots are switched always finds a whole one', async (t) => {
  const { dir } = await temporaryRoot(t);
  let isSwitching = true;
  const seen = new Set<string | undefined>();
  const readers = Array.from({ length: 4 }, async () => {
    while (isSwitching) {
      const root = await readRoot(dir, 'ca');
      seen.add(root?.fingerprint);
      await readRoot(dir, 'next');
    }
  });
  for (let round = 0; round < 40; round++) {
    await makeNextRoot(options(dir));
    await activateNextRoot(dir);
  }
  isSwitching = false;
  await Promise.all(readers);
  t.false(seen.has(undefined));
  t.true(seen.size > 1);
});

test('a process killed while it makes and switches roots leaves one that serves', async (t) => {
  const dir = await temporaryDirectory(t);
  await openRoot(options(dir));
  const program = fileURLToPath(new URL('renew-forever.ts', import.meta.url));
  for (let round = 0; round < 6; round++) {
    const child = spawn(process.execPath, [program, dir], { stdio: ['ignore', 'pipe', 'inherit'] });
    t.teardown(() => child.kill('SIGKILL'));
    await once(child.stdout, 'data');
    await sleep(20 + Math.random() * 60);
    child.kill('SIGKILL');
    await once(child, 'exit');
    const serving = await openRoot(options(dir));
    const next = await makeNextRoot(options(dir));
    t.not(next.fingerprint, serving.fingerprint);
    t.true(await activateNextRoot(dir));
    t.is((await openRoot(options(dir))).fingerprint, next.fingerprint);
  }
});
