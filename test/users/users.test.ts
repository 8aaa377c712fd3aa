import { mkdtemp, rename, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { hashSync } from 'bcryptjs';
import { subscribe } from '../../src/events.ts';
import { Users } from '../../src/users/users.ts';
import { eventually } from '../hosted/stage.ts';

const COST = 4;

/** Users in a file of their own, by a clock that stands still. */
async function open(t: ExecutionContext, passwords: Readonly<Record<string, string>>) {
  const dir = await mkdtemp(join(tmpdir(), 'layover-users-'));
  const file = join(dir, 'users.htpasswd');
  const write = (entries: Readonly<Record<string, string>>): Promise<void> =>
    writeFile(
      file,
      Object.entries(entries)
        .map(([name, password]) => `${name}:${hashSync(password, COST)}\n`)
        .join(''),
    );
  await write(passwords);
  const clock = { now: 1_000_000 };
  const users = await Users.open(file, () => clock.now);
  t.teardown(async () => {
    users[Symbol.dispose]();
    await rm(dir, { recursive: true, force: true });
  });
  return { users, clock, file, write };
}

/** What became of the passwords that were computed meanwhile. */
function watchLogins(t: ExecutionContext): string[] {
  const seen: string[] = [];
  t.teardown(subscribe('login', ({ result }) => seen.push(result)));
  return seen;
}

test.serial('a password is right for its user alone', async (t) => {
  const { users } = await open(t, { ada: 'of ada', bob: 'of bob', long: 'x'.repeat(72) });
  t.true(await users.verify('ada', 'of ada'));
  t.true(await users.verify('bob', 'of bob'));
  t.false(await users.verify('ada', 'of bob'));
  t.false(await users.verify('eve', 'of ada'));
  t.false(await users.verify('ada', ''));
  t.false(await users.verify('', ''));
  t.false(await users.verify('constructor', 'of ada'));
  t.false(await users.verify('*)(uid=*', 'of ada'));
  t.true(await users.verify('long', 'x'.repeat(72)));
  t.false(await users.verify('long', `${'x'.repeat(72)}y`));
});

test.serial(
  'a right password is computed once in a minute, however many ask at once, and a wrong one each time',
  async (t) => {
    const { users, clock } = await open(t, { ada: 'right' });
    const seen = watchLogins(t);
    await Promise.all(Array.from({ length: 50 }, () => users.verify('ada', 'right')));
    await users.verify('ada', 'right');
    t.deepEqual(seen, ['accepted']);
    await users.verify('ada', 'wrong');
    await users.verify('ada', 'wrong');
    t.deepEqual(seen, ['accepted', 'refused', 'refused']);
    clock.now += 61_000;
    await users.verify('ada', 'right');
    t.deepEqual(seen.slice(3), ['accepted']);
  },
);

test.serial(
  'after ten wrong passwords a user waits, whether there is one or not, but for who is known already',
  async (t) => {
    const { users, clock } = await open(t, { ada: 'right', bob: 'right' });
    t.true(await users.verify('ada', 'right'));
    for (const name of ['ada', 'nobody']) {
      for (let count = 0; count < 10; count++) t.false(await users.verify(name, `guess ${count}`));
      const error = await t.throwsAsync(users.verify(name, 'guess'), { code: 'TOOMANYREQUESTS' });
      t.like(error, { status: 429, headers: { 'Retry-After': '6' } });
    }
    t.true(await users.verify('ada', 'right'));
    t.true(await users.verify('bob', 'right'));
    clock.now += 6_001;
    t.false(await users.verify('nobody', 'guess'));
    await t.throwsAsync(users.verify('nobody', 'guess'), { code: 'TOOMANYREQUESTS' });
  },
);

test.serial('right passwords do not use up what is allowed', async (t) => {
  const { users, clock } = await open(t, { ada: 'right' });
  for (let count = 0; count < 30; count++) {
    clock.now += 61_000;
    t.true(await users.verify('ada', 'right'));
  }
  for (let count = 0; count < 10; count++) t.false(await users.verify('ada', `guess ${count}`));
});

test.serial('of very many logins at once some are told to come again, and the others get their answer', async (t) => {
  const { users } = await open(t, { ada: 'right' });
  const answers = await Promise.allSettled(
    Array.from({ length: 100 }, (_, count) => users.verify(`user ${count}`, 'guess')),
  );
  t.true(answers.filter(({ status }) => status === 'fulfilled').length >= 16);
  const refused = answers.flatMap((answer) => (answer.status === 'rejected' ? [answer.reason] : []));
  t.true(refused.length > 0);
  for (const reason of refused) t.like(reason, { code: 'TOOMANYREQUESTS' });
  t.true(await users.verify('ada', 'right'));
});

test.serial('a file that changes is noticed, and one with a mistake leaves everybody as they were', async (t) => {
  const { users, file, write } = await open(t, { ada: 'right', bob: 'right' });
  const before = await users.mark('ada');
  t.true(await users.verify('ada', 'right'));
  await write({ ada: 'another', carol: 'new' });
  await eventually(() => users.mark('carol'));
  t.true(await users.verify('carol', 'new'));
  t.false(await users.verify('ada', 'right'), 'a password that was remembered is one no longer');
  t.not(await users.mark('ada'), before);
  t.is(await users.mark('bob'), undefined);
  await writeFile(file, 'ada:plain text\n');
  await utimes(file, 1, 1);
  await t.throwsAsync(users.reload(), { message: /:1: expected the password of ada as bcrypt/ });
  t.true(await users.verify('carol', 'new'));
  await rename(file, `${file}.gone`);
  await t.throwsAsync(users.reload(), {
    message: /users\.file: .* cannot be read \(ENOENT\): make it by "layover user add/,
  });
  t.true(await users.verify('carol', 'new'));
});

test.serial('while passwords are computed, everything else goes on', async (t) => {
  const { users, file } = await open(t, {});
  await writeFile(file, `slow:${hashSync('right', 11)}\n`);
  await users.reload();
  const verified = users.verify('slow', 'right');
  let turns = 0;
  let isDone = false;
  void verified.then(() => {
    isDone = true;
  });
  while (!isDone) {
    await new Promise((resolve) => setImmediate(resolve));
    turns++;
  }
  t.true(await verified);
  t.true(turns > 20, `${turns} turns of the event loop`);
});
