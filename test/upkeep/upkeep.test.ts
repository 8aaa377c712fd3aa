import { mkdir, readdir, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { publish } from '../../src/events.ts';
import { digestOf } from '../../src/oci/digest.ts';
import { fillClaim } from '../../src/store/claim.ts';
import { FileClaims } from '../../src/store/file-claims.ts';
import { Spool } from '../../src/store/spool.ts';
import { eventually, filesBelow } from '../pull/doors.ts';
import { TestGateway } from '../support/gateway.ts';
import { startUpstream } from '../support/upstream/upstream.ts';

const DAY = 86_400;

async function start(t: ExecutionContext): Promise<{ gateway: TestGateway; data: string }> {
  const upstream = await startUpstream({ profile: 'mcr', tls: false });
  t.teardown(() => upstream.close());
  const gateway = await TestGateway.start({ upstreams: [upstream] });
  t.teardown(() => gateway[Symbol.asyncDispose]());
  return { gateway, data: join(gateway.dir, 'data') };
}

async function age(path: string, seconds: number): Promise<void> {
  await utimes(path, Date.now() / 1000 - seconds, Date.now() / 1000 - seconds);
}

/** A partial download that was last written to so many seconds ago. */
async function park(data: string, seed: string, seconds: number): Promise<string> {
  const digest = digestOf(Buffer.from(seed));
  const file = await new Spool(join(data, 'spool')).open(digest);
  await file.write(Buffer.alloc(100_000), 0);
  await file.checkpoint();
  await file.close();
  const stem = join(data, 'spool', digest.replace(':', '-'));
  for (const suffix of ['.part', '.json']) await age(stem + suffix, seconds);
  return `${digest.replace(':', '-')}.part`;
}

test.serial('soon after the start, what crashed processes left and what nobody went on with is removed', async (t) => {
  const { gateway, data } = await start(t);
  await gateway.down();
  const [young, old, claimed] = [
    await park(data, 'young', 6 * DAY),
    await park(data, 'old', 8 * DAY),
    await park(data, 'claimed', 8 * DAY),
  ];
  await using claim = await new FileClaims(join(data, 'spool', 'claims')).acquire(
    fillClaim(digestOf(Buffer.from('claimed'))),
  );
  t.truthy(claim);
  for (const directory of ['cache/.tmp', 'spool']) {
    await mkdir(join(data, directory), { recursive: true });
    for (const [name, seconds] of [
      ['new.tmp', 0],
      ['old.tmp', 2 * 3600],
    ] as const) {
      await writeFile(join(data, directory, name), 'left');
      await age(join(data, directory, name), seconds);
    }
  }
  await gateway.up();
  const left = async (): Promise<string[]> => (await readdir(join(data, 'spool'))).sort();
  await eventually(left, (names) => !names.includes(old), 20_000);
  const names = await left();
  t.true(names.includes(young) && names.includes(claimed), names.join(' '));
  t.deepEqual(
    (await filesBelow(data))
      .filter((file) => file.endsWith('.tmp'))
      .map((file) => file.slice(data.length))
      .sort(),
    ['/cache/.tmp/new.tmp', '/spool/new.tmp'],
  );
});

test.serial(
  'the space, the index and partial downloads are shown by metrics, and a failing disk by readyz',
  async (t) => {
    const { gateway } = await start(t);
    const metric = async (name: string): Promise<number> => {
      const { body } = await gateway.client.request(`${gateway.admin}/metrics`);
      return Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(body.toString())?.[1]);
    };
    t.is(
      await eventually(
        () => metric('layover_index_ready'),
        (ready) => ready === 1,
        20_000,
      ),
      1,
    );
    t.true((await metric('layover_store_limit_bytes')) > 0);
    t.is(await metric('layover_store_parked_bytes'), 0);
    const ready = async (): Promise<string> =>
      (await gateway.client.request(`${gateway.admin}/readyz`)).body.toString();
    t.is(await ready(), 'ok\n');
    publish('space', { phase: 'failing', code: 'ENOSPC' });
    t.regex(await ready(), /^ok\nwarning: the disk cannot be written \(ENOSPC\)/);
    publish('space', { phase: 'recovered' });
    t.is(await ready(), 'ok\n');
  },
);

test.serial('it stops promptly, just begun or not begun at all', async (t) => {
  const { gateway } = await start(t);
  for (let round = 0; round < 3; round += 1) await gateway.restart();
  t.pass();
});
