import { readdir } from 'node:fs/promises';
import anyTest, { type TestFn } from 'ava';
import { ChildGateway } from '../pull/child.ts';
import { DiskGateway, noDisks } from '../pull/disk.ts';
import { generated, toBytes } from '../support/content.ts';
import { type FakeUpstream, startUpstream } from '../support/upstream/upstream.ts';
import { begin, beginUpload, codeOf, digestOf, eventually, filesIn, pushBlob, send } from './stage.ts';

const test = anyTest as TestFn<{ hub: FakeUpstream }>;
const OPEN = { LAYOVER_HOSTED_REPOSITORIES: 'team/**', LAYOVER_HOSTED_PUSH: 'anyone' };
const MIB = 1 << 20;

test.before(async (t) => {
  t.context.hub = await startUpstream({ profile: 'hub', tls: false });
});

test.after.always(({ context: { hub } }) => hub.close());

test.serial('an upload goes on where a killed gateway left it, as often as it is killed', async (t) => {
  const gateway = await ChildGateway.start(t.context.hub, OPEN);
  t.teardown(() => gateway[Symbol.asyncDispose]());
  const whole = toBytes(generated('pushed through kills', 6 * MIB));
  const acknowledged = await pushBlob(gateway.own, 'team/app', 'acknowledged before');
  const location = await beginUpload(gateway.own, 'team/app');
  const part = `${location.split('/').at(-1)}.part`;
  let at = 0;
  for (const upTo of [0.3, 1.9, 2, 4.5].map((share) => Math.floor(share * MIB))) {
    // Something of it has been written, and its request never ends.
    const headers = { 'content-range': `${at}-${whole.length - 1}` };
    begin(gateway.own, 'PATCH', location, whole.subarray(at, upTo), headers);
    await eventually(async () => ((await filesIn(gateway, 'uploads'))[part] ?? 0) > at);
    await gateway.kill();
    await gateway.up();
    const { status, headers: told } = await send(gateway.own, 'GET', location);
    t.is(status, 204);
    at = Number(told.range?.split('-')[1]) + 1;
    t.true(at > 0 && at <= upTo, `${at} of ${upTo}`);
  }
  const headers = { 'content-range': `${at}-${whole.length - 1}` };
  t.is((await send(gateway.own, 'PATCH', location, { body: whole.subarray(at), headers })).status, 202);
  await gateway.kill();
  await gateway.up();
  t.is((await send(gateway.own, 'PUT', `${location}?digest=${digestOf(whole)}`)).status, 201);
  await gateway.kill();
  await gateway.up();
  const { body } = await send(gateway.own, 'GET', `/v2/team/app/blobs/${digestOf(whole)}`);
  t.true(body.equals(whole));
  t.is((await send(gateway.own, 'HEAD', `/v2/team/app/blobs/${acknowledged}`)).status, 200);
});

test.serial('on a full disk a push is a 507, leaves nothing behind, and smaller ones go on', async (t) => {
  const reason = noDisks();
  if (reason !== undefined) {
    t.log(`skipped: ${reason}`);
    t.pass();
    return;
  }
  const gateway = await DiskGateway.start(t.context.hub, { mount: 'size=4m', env: OPEN });
  t.teardown(() => gateway[Symbol.asyncDispose]());
  const large = toBytes(generated('too large', 8 * MIB));
  const digest = digestOf(large);
  const inOne = await send(gateway.own, 'POST', `/v2/team/app/blobs/uploads/?digest=${digest}`, { body: large });
  t.deepEqual([inOne.status, codeOf(inOne)], [507, 'UNAVAILABLE']);
  const location = await beginUpload(gateway.own, 'team/app');
  t.is((await send(gateway.own, 'PATCH', location, { body: [large] })).status, 507);
  t.is((await send(gateway.own, 'GET', location)).status, 404);
  t.deepEqual(await readdir(gateway.path('uploads')), []);
  const small = await pushBlob(gateway.own, 'team/app', 'small enough');
  t.is((await send(gateway.own, 'GET', `/v2/team/app/blobs/${small}`)).body.toString(), 'small enough');
});
