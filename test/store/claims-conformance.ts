import { setTimeout as sleep } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import type { Claim, Claims } from '../../src/store/claim.ts';

/** Milliseconds; long enough for a busy machine not to make a live holder stale. */
export const QUICK = { staleAfter: 1000, heartbeat: 20 };

/** Registers the tests that every kind of claims passes; `open` hands the times on. */
export function claimsConformance(
  name: string,
  open: (t: ExecutionContext, times: { staleAfter?: number; heartbeat?: number }) => Claims,
): void {
  const check = (title: string, body: (t: ExecutionContext, claims: Claims) => Promise<void>, times = {}): void =>
    test(`${name}: ${title}`, (t) => body(t, open(t, times)));

  check('a claim has one holder until it is released', async (t, claims) => {
    const claim = await claims.acquire('fills/a');
    t.truthy(claim);
    t.is(await claims.acquire('fills/a'), undefined);
    t.truthy(await claims.acquire('fills/b'));
    await claim?.release();
    t.truthy(await claims.acquire('fills/a'));
    t.false(claim?.lost.aborted);
  });

  check('of many at once one gets it', async (t, claims) => {
    for (let round = 0; round < 5; round += 1) {
      const got = await Promise.all(Array.from({ length: 20 }, () => claims.acquire('a')));
      const won = got.filter((claim) => claim !== undefined);
      t.is(won.length, 1);
      await won[0]?.release();
    }
  });

  check('leaving its scope releases a claim', async (t, claims) => {
    {
      await using claim = await claims.acquire('a');
      t.truthy(claim);
    }
    t.truthy(await claims.acquire('a'));
  });

  check('releasing twice does not take the next holder its claim', async (t, claims) => {
    const first = await claims.acquire('a');
    await first?.release();
    const second = await claims.acquire('a');
    await first?.release();
    first?.progress();
    t.is(await claims.acquire('a'), undefined);
    second?.progress();
    t.false(second?.lost.aborted);
  });

  check(
    'progress keeps a claim',
    async (t, claims) => {
      const claim = await claims.acquire('a');
      for (let at = 0; at < QUICK.staleAfter * 1.5; at += 40) {
        await sleep(40);
        claim?.progress();
        t.is(await claims.acquire('a'), undefined);
      }
      t.false(claim?.lost.aborted);
    },
    QUICK,
  );

  check(
    'a claim without progress goes to one other, and its holder hears of it',
    async (t, claims) => {
      const stalled = await claims.acquire('a');
      await sleep(QUICK.staleAfter + 100);
      const got: (Claim | undefined)[] = await Promise.all(Array.from({ length: 20 }, () => claims.acquire('a')));
      const won = got.filter((claim) => claim !== undefined);
      t.is(won.length, 1);
      stalled?.progress();
      t.true(stalled?.lost.aborted);
      await stalled?.release();
      await won[0]?.note(Buffer.from('alive'));
      t.is(await claims.acquire('a'), undefined, 'the loser cannot release it');
      await sleep(QUICK.heartbeat * 2);
      won[0]?.progress();
      t.false(won[0]?.lost.aborted);
    },
    QUICK,
  );

  check('others see what the holder notes, and then that it is over', async (t, claims) => {
    t.is(await claims.holding('a'), undefined);
    const claim = await claims.acquire('a');
    t.is(claim?.left, undefined);
    const holding = await claims.holding('a');
    t.deepEqual(await holding?.look(), { note: undefined, isOver: false });
    for (const note of [Buffer.from('one'), Buffer.from('two')]) {
      await claim?.note(note);
      t.deepEqual(Buffer.from((await holding?.look())?.note ?? []), note);
    }
    void claim?.note(Buffer.from('end'));
    await claim?.release();
    const last = await holding?.look();
    t.is(`${Buffer.from(last?.note ?? [])}`, 'end', 'the last note is there before the claim is free');
    t.true(last?.isOver);
    t.is(await claims.holding('a'), undefined);
    const next = await claims.acquire('a');
    t.is(next?.left, undefined, 'nothing is left of a claim that was released');
    t.true((await holding?.look())?.isOver, 'for whoever holds it now');
    await holding?.[Symbol.asyncDispose]();
  });

  check(
    'who takes over finds what the holder had noted, and that one notes nothing any more',
    async (t, claims) => {
      const stalled = await claims.acquire('a');
      await stalled?.note(Buffer.from('so far'));
      const holding = await claims.holding('a');
      t.true(stalled?.isHeld());
      await sleep(QUICK.staleAfter + 100);
      t.true((await holding?.look())?.isOver);
      const next = await claims.acquire('a');
      t.is(`${Buffer.from(next?.left ?? [])}`, 'so far');
      t.false(stalled?.isHeld());
      t.true(stalled?.lost.aborted);
      await stalled?.note(Buffer.from('more'));
      t.is(`${Buffer.from((await holding?.look())?.note ?? [])}`, 'so far');
      await holding?.[Symbol.asyncDispose]();
    },
    QUICK,
  );

  check('names are keys', async (t, claims) => {
    for (const bad of ['', '../a', 'a//b', '/a']) await t.throwsAsync(claims.acquire(bad), { message: /not a key/ });
  });
}
