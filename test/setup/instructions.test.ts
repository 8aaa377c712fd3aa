import test from 'ava';
import { instructions } from '../../src/setup/instructions.ts';
import { CLIENTS } from '../../src/setup/recipe.ts';
import { gateway } from './gateways.ts';

test('every client has instructions, and so have macOS and Windows', (t) => {
  const clients = instructions(gateway).map(({ client }) => client);
  t.deepEqual(clients.toSorted(), [...CLIENTS, 'macos', 'windows'].toSorted());
});

test('instructions name the gateway, pin its root and say what happens when it is down', (t) => {
  for (const { client, steps } of instructions(gateway)) {
    const text = JSON.stringify(steps);
    t.true(text.includes('gateway.lan:5000') || text.includes('192.0.2.10'), client);
    t.true(text.includes(gateway.roots[0]?.fingerprint ?? '?'), client);
    t.regex(steps.at(-1)?.text ?? '', /While the gateway is down/, client);
  }
});

test('a file is never shown without what stands in it', (t) => {
  const steps = instructions(gateway).flatMap((part) => part.steps);
  t.deepEqual(
    steps.filter(({ file, content }) => (file === undefined) !== (content === undefined)),
    [],
  );
});
