import { chown, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import anyTest, { type TestFn } from 'ava';
import { restoreTag, tagHistory } from '../../src/cli/tags.ts';
import type { Config } from '../../src/config/config.ts';
import { loadConfig } from '../../src/config/load.ts';
import { MediaType } from '../../src/oci/media-type.ts';
import { TestGateway } from '../support/gateway.ts';
import { basic, startWithUsers, usersFile } from '../users/stage.ts';
import { digestOf, EMPTY_CONFIG, pushArtifact, send } from './stage.ts';

const test = anyTest as TestFn<{ gateway: TestGateway; config: Config; advance: () => Date }>;
const MINUTE = 60_000;

test.beforeEach(async (t) => {
  let ahead = 0;
  const start = Date.now();
  const gateway = await TestGateway.start({
    upstreams: [],
    config: { hosted: { repositories: ['team/**'], push: 'anyone' } },
    further: { 'reg.example.com': { urls: ['http://127.0.0.1:9'] } },
    now: () => start + ahead,
  });
  const config = await loadConfig({ file: `${gateway.dir}/gateway.yaml`, env: {}, cwd: gateway.dir });
  const advance = (): Date => {
    ahead += 2 * MINUTE;
    return new Date(start + ahead - MINUTE);
  };
  Object.assign(t.context, { gateway, config, advance });
});

test.afterEach.always(({ context: { gateway } }) => gateway[Symbol.asyncDispose]());

async function digestAt({ own }: TestGateway, time: Date | undefined, method = 'GET'): Promise<string | number> {
  const query = time === undefined ? '' : `?as-of=${time.toISOString()}`;
  const { status, headers } = await send(own, method, `/v2/team/app/manifests/v1${query}`);
  return status === 200 ? String(headers['docker-content-digest']) : status;
}

test('a hosted tag is pulled as it was at any time since its first push', async (t) => {
  const { gateway, advance } = t.context;
  const before = advance();
  const digests: string[] = [];
  const times: Date[] = [];
  for (const index of [0, 1, 2]) {
    digests.push(await pushArtifact(gateway.own, 'team/app', 'v1', { annotations: { index: String(index) } }));
    advance();
    times.push(advance());
  }
  t.is(await digestAt(gateway, before), 404);
  for (const [index, time] of times.entries()) {
    t.is(await digestAt(gateway, time), digests[index] ?? '');
    t.is(await digestAt(gateway, time, 'HEAD'), digests[index] ?? '');
  }
  t.is(await digestAt(gateway, undefined), digests[2] ?? '');
});

test('a tag is restored to a manifest of its repository, which a running gateway sees at once', async (t) => {
  const { gateway, config } = t.context;
  const first = await pushArtifact(gateway.own, 'team/app', 'v1', { annotations: { index: '1' } });
  const second = await pushArtifact(gateway.own, 'team/app', 'v1', { annotations: { index: '2' } });
  t.is(await digestAt(gateway, undefined), second);
  t.is(await restoreTag(config, ['team/app:v1', first]), `team/app:v1 is ${first} again; it was ${second}\n`);
  t.is(await digestAt(gateway, undefined), first);
  t.is(await restoreTag(config, ['team/app:v1', first]), `team/app:v1 is ${first} already\n`);
  t.is(await restoreTag(config, ['team/app:back', second]), `team/app:back is ${second} again\n`);
  const lines = (await tagHistory(config, ['team/app:v1'], {})).trimEnd().split('\n');
  t.deepEqual(
    lines.map((line) => line.replace(/^\S+ {2}/, '')),
    [first, `${first} → ${second}`, `${second} → ${first}  by layover:restore`],
  );
  const all = await tagHistory(config, ['team/app'], {});
  t.deepEqual(all.match(/ {2}(?:back|v1) {2}/g), ['  back  ', '  v1  ', '  v1  ', '  v1  ']);
});

test('what cannot be restored is refused with the reason', async (t) => {
  const { gateway, config } = t.context;
  const digest = await pushArtifact(gateway.own, 'team/app', 'v1');
  const cases: readonly (readonly [readonly string[], RegExp])[] = [
    [['team/app', digest], /names no tag: expected NAME:TAG/],
    [['team/app:v1'], /expected tags restore NAME:TAG sha256/],
    [['team/app:v1', 'sha256:short'], /expected tags restore NAME:TAG sha256/],
    [['team/app:v1', digestOf('something else')], /is no manifest of team\/app/],
    [['team/app:v1', digestOf('{}')], /is no manifest of team\/app/],
    [['team/other:v1', digest], /is no manifest of team\/other/],
    [['reg.example.com/app:1', digest], /only hosted tags can be restored: pull reg\.example\.com\/app@sha256/],
    [['Team/App:1', digest], /expected the name of a repository/],
    [['team/app:-', digest], /expected a tag of up to 128 characters/],
  ];
  for (const [words, message] of cases) await t.throwsAsync(restoreTag(config, words), { message });
  t.is(await digestAt(gateway, undefined), digest);
});

test('the history names the user who pushed', async (t) => {
  const file = await usersFile({ ada: 'password of ada' });
  t.teardown(() => rm(dirname(file), { recursive: true }));
  const gateway = await startWithUsers(file, []);
  t.teardown(() => gateway[Symbol.asyncDispose]());
  const config = await loadConfig({ file: `${gateway.dir}/gateway.yaml`, env: {}, cwd: gateway.dir });
  const headers = basic('ada', 'password of ada');
  const blob = `/v2/team/app/blobs/uploads/?digest=${digestOf('{}')}`;
  t.is((await send(gateway.own, 'POST', blob, { body: '{}', headers })).status, 201);
  const body = JSON.stringify({
    schemaVersion: 2,
    mediaType: MediaType.ociManifest,
    config: { mediaType: EMPTY_CONFIG, digest: digestOf('{}'), size: 2 },
    layers: [],
  });
  const typed = { ...headers, 'content-type': MediaType.ociManifest };
  const pushed = await send(gateway.own, 'PUT', '/v2/team/app/manifests/v1', { body, headers: typed });
  t.is(pushed.status, 201, pushed.body.toString());
  t.regex(await tagHistory(config, ['team/app:v1'], {}), new RegExp(`${digestOf(body)} {2}by ada\\n$`));
});

test('who is not the gateway’s user restores nothing, since the gateway could not read it', async (t) => {
  if (process.geteuid?.() !== 0) {
    t.pass();
    t.log('skipped: only root can give a directory to somebody else');
    return;
  }
  const { gateway, config } = t.context;
  const first = await pushArtifact(gateway.own, 'team/app', 'v1', { annotations: { index: '1' } });
  await chown(`${gateway.dir}/data/hosted`, 12_345, 12_345);
  await t.throwsAsync(restoreTag(config, ['team/app:other', first]), {
    message: /belongs to the user 12345: run this as/,
  });
});
