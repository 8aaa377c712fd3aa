import { once } from 'node:events';
import { copyFile, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { Client } from '../support/client.ts';
import { Fleet, until } from './fleet.ts';

/** What one connection of its own is answered. */
async function ask(fleet: Fleet): Promise<number> {
  using client = new Client();
  return (await client.request(`${fleet.own}/v2/`)).status;
}

test.serial(
  'several processes serve on one port, whichever is asked tells of all, and SIGTERM ends them',
  async (t) => {
    const fleet = await Fleet.start(t, 3);
    t.is(fleet.greeting.processes, 3);
    t.is((await fleet.workers()).length, 3);
    await fleet.ready(3);
    for (let index = 0; index < 30; index += 1) t.is(await ask(fleet), 200);
    // Answers are counted when they are finished, a moment after their clients have them.
    await until(async () => /^layover_requests_total\{.*kind="ping".*\} 30$/m.test(await fleet.ask('/metrics')));
    const used = /^layover_store_limit_bytes (\d+)$/m.exec(await fleet.ask('/metrics'))?.[1];
    t.true(Number(used) <= 50 * 2 ** 30, 'what they share counts once');

    const { mode } = await stat(join(fleet.dir, 'data', 'fleet', 'supervisor.sock'));
    t.is(mode & 0o777, 0o600);
    const ended = once(fleet.supervisor ?? process, 'exit');
    fleet.supervisor?.kill('SIGTERM');
    t.deepEqual(await ended, [0, null]);
    t.deepEqual(await fleet.workers(), []);
    t.deepEqual(await readdir(join(fleet.dir, 'data', 'fleet')), []);
    const lines = (await readFile(join(fleet.dir, 'access.log'), 'utf8')).trimEnd().split('\n');
    t.is(lines.filter((line) => JSON.parse(line).kind === 'ping').length, 30);
  },
);

test.serial('a process that was killed is replaced, and one line says so', async (t) => {
  const fleet = await Fleet.start(t, 2);
  const [victim = 0, other = 0] = await fleet.workers();
  process.kill(victim, 'SIGKILL');
  const next = async (): Promise<readonly number[]> => (await fleet.workers()).filter((pid) => pid !== other);
  await until(async () => !(await next()).includes(victim) && (await next()).length === 1);
  await fleet.ready(2);
  t.true((await fleet.workers()).includes(other));
  const line = `process ${victim} ended (SIGKILL)`;
  await until(() => fleet.log.includes(line));
  t.is(fleet.log.split(line).length, 2);
});

test.serial('a process that cannot be started is tried again until it can', async (t) => {
  const fleet = await Fleet.start(t, 2);
  const extra = join(fleet.dir, 'extra.pem');
  await copyFile(join(fleet.dir, 'certs', 'ca.crt'), extra);
  await fleet.configure({ upstreams: { 'docker.io': { ca: extra } } });
  fleet.hangUp();
  await until(() => fleet.log.includes('was read again: upstreams.docker.io'));
  await rm(extra);
  const [victim = 0, other = 0] = await fleet.workers();
  process.kill(victim, 'SIGKILL');
  // What the others have taken in without a restart counts for whoever comes later, too.
  await until(() => fleet.log.includes('a process cannot be started; it is tried again in'));
  t.regex(fleet.log, /extra\.pem/);
  t.is(await ask(fleet), 200);
  await copyFile(join(fleet.dir, 'certs', 'ca.crt'), extra);
  await until(async () => (await fleet.workers()).some((pid) => pid !== victim && pid !== other));
  await fleet.ready(2);
});

test.serial('without their supervisor they serve on, and the next one takes their place', async (t) => {
  const fleet = await Fleet.start(t, 2);
  const { http } = fleet.greeting;
  // The next ones have to share this port with them.
  await fleet.configure({ listen: { https: '127.0.0.1:0', http, admin: '127.0.0.1:0' } });
  const orphans = await fleet.workers();
  await fleet.loseSupervisor();
  t.is(await ask(fleet), 200);
  t.deepEqual(await fleet.workers(), orphans);

  await fleet.up();
  t.is(fleet.greeting.http, http);
  await until(async () => !(await fleet.workers()).some((pid) => orphans.includes(pid)));
  t.is(await ask(fleet), 200);
  await fleet.ready(2);
});

test.serial(
  'a second start on the same data directory is refused, and so is a port that another program has',
  async (t) => {
    const fleet = await Fleet.start(t, 2);
    const workers = await fleet.workers();
    const again = await fleet.run('start');
    t.is(again.code, 1);
    t.regex(fleet.log, /process \d+ runs on \S+ already: layover restart/);
    t.deepEqual(await fleet.workers(), workers);

    const other = await Fleet.start(t, 2);
    await other.kill();
    await other.configure({ listen: { https: '127.0.0.1:0', http: fleet.greeting.http, admin: '127.0.0.1:0' } });
    const taken = await other.run('start');
    t.is(taken.code, 1);
    t.regex(other.log, /EADDRINUSE/);
    t.deepEqual(await other.workers(), []);
  },
);

test.serial('SIGHUP changes all of them, a mistake none, and a restart takes in the rest', async (t) => {
  const fleet = await Fleet.start(t, 2);
  await fleet.configure({ grants: { offline: '1h' }, names: ['other.lan'] });
  fleet.hangUp();
  await until(() => fleet.log.includes('the configuration was read again: grants.offline'));
  await until(() => fleet.log.includes('in effect only after a restart: names'));
  t.is(fleet.log.split('was read again').length, 2, 'it is said once');

  const workers = await fleet.workers();
  await writeFile(fleet.config, 'processes: many');
  fleet.hangUp();
  await until(() => fleet.log.includes('the configuration cannot be used'));
  t.deepEqual(await fleet.workers(), workers);

  await fleet.configure({ processes: 3 });
  const { code, said } = await fleet.run('restart');
  t.is(code, 0);
  t.is(JSON.parse(said).processes, 3);
  await until(async () => (await fleet.workers()).length === 3);
  await fleet.ready(3);
});

test.serial('a restart that cannot be leaves those that serve alone, and says why', async (t) => {
  const fleet = await Fleet.start(t, 2);
  const workers = await fleet.workers();
  await fleet.configure({ upstreams: { 'docker.io': { ca: join(fleet.dir, 'nowhere.pem') } } });
  const { code, said } = await fleet.run('restart');
  t.is(code, 1);
  t.regex(JSON.parse(said).error, /^0 of 2 processes were replaced, then: .*nowhere\.pem/);
  t.deepEqual(await fleet.workers(), workers);
  t.is(await ask(fleet), 200);

  await fleet.kill();
  const nobody = await fleet.run('restart');
  t.regex(JSON.parse(nobody.said).error, /nobody watches/);
});

test.serial('a data directory with a long name holds their sockets too', async (t) => {
  const fleet = await Fleet.start(t, 2, { below: join('a'.repeat(120), 'b'.repeat(80)) });
  await fleet.ready(2);
  t.is((await fleet.run('restart')).code, 0);
});

test.serial('one process is one process: nobody watches over it, and it needs no sockets', async (t) => {
  const fleet = await Fleet.start(t, 1);
  t.is(fleet.greeting.processes, undefined);
  t.is(await fleet.ask('/readyz'), 'ok\n');
  t.deepEqual(await fleet.workers(), []);
  const { code, said } = await fleet.run('restart');
  t.is(code, 1);
  t.regex(JSON.parse(said).error, /stop it and start it again/);
  t.false((await readdir(join(fleet.dir, 'data'))).includes('fleet'));
});
