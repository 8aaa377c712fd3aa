import { once } from 'node:events';
import { Agent, request } from 'node:https';
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { createLeaves } from '../../src/tls/leaves.ts';
import { certificateOf, day, serve, shake, temporaryRoot } from './fixture.ts';

const names = ['registry.example', 'localhost'];

/** One exchange on a connection of the agent; the status. */
async function ask(agent: Agent, port: number, servername: string): Promise<number | undefined> {
  const sent = request({ agent, host: '127.0.0.1', port, servername });
  sent.end();
  const [answer] = await once(sent, 'response');
  for await (const _ of answer) {
    // Read to its end, so that the connection is free again.
  }
  return answer.statusCode;
}

test('certificates are renewed under load without a failed handshake or a dropped connection', async (t) => {
  const root = await temporaryRoot(t);
  const start = Date.now();
  let now = start;
  const leaves = createLeaves(root, { own: ['localhost'], presented: (name) => name === names[0], now: () => now });
  const { port, errors } = await serve(t, leaves);
  const kept = new Agent({ keepAlive: true, maxSockets: 8, rejectUnauthorized: false });
  const fresh = new Agent({ keepAlive: false, maxSockets: 8, rejectUnauthorized: false, maxCachedSessions: 0 });
  t.teardown(() => kept.destroy());
  const answers: (number | undefined)[] = [];
  let isRunning = true;
  const clients = [kept, kept, kept, kept, fresh, fresh, fresh, fresh].map(async (agent, index) => {
    while (isRunning) {
      answers.push(await ask(agent, port, names[index % 2] ?? ''));
    }
  });
  const first = await shake({ port, servername: 'localhost', ca: root.certificatePem });
  const before = first.getPeerX509Certificate()?.serialNumber;
  for (let renewals = 0; renewals < 12; renewals++) {
    const { length } = answers;
    while (answers.length < length + 16) await sleep(1);
    now += 61 * day;
  }
  isRunning = false;
  await Promise.all(clients);
  t.deepEqual([...new Set(answers)], [200]);
  t.deepEqual(errors, []);
  const last = await shake({ port, servername: 'localhost', rejectUnauthorized: false });
  t.not(last.getPeerX509Certificate()?.serialNumber, before);
});

test('a clock that jumps by a year in either direction breaks no connection, and is followed by the next', async (t) => {
  const root = await temporaryRoot(t);
  const start = Date.now();
  let now = start;
  const leaves = createLeaves(root, { own: ['localhost'], presented: (name) => name === names[0], now: () => now });
  const { port, errors } = await serve(t, leaves);
  const kept = new Agent({ keepAlive: true, maxSockets: 1, rejectUnauthorized: false });
  t.teardown(() => kept.destroy());
  t.is(await ask(kept, port, 'registry.example'), 200);
  const [socket] = Object.values(kept.freeSockets).flatMap((sockets) => sockets ?? []);
  for (const jump of [365, -365, 730, 0, -730]) {
    now = start + jump * day;
    t.is(await ask(kept, port, 'registry.example'), 200);
    for (const name of [...names.map((servername) => ({ servername })), {}]) {
      const shown = (await shake({ port, ...name, rejectUnauthorized: false })).getPeerX509Certificate();
      t.true(shown !== undefined && shown.validFromDate.getTime() <= now && now < shown.validToDate.getTime());
      t.true(shown?.checkIssued(certificateOf(root.certificatePem)));
    }
  }
  t.is(Object.values(kept.freeSockets).flatMap((sockets) => sockets ?? [])[0], socket, 'all on one connection');
  now = start;
  t.true((await shake({ port, servername: 'registry.example', ca: root.certificatePem })).authorized);
  t.deepEqual(errors, []);
});
