import test from 'ava';
import { hostOf, NAMESPACE, TestGateway } from '../support/gateway.ts';
import { blobsOf, makeImage } from '../support/image.ts';
import { CLIENT_MODELS, pull } from '../support/pull/pull.ts';
import { PullError } from '../support/pull/session.ts';
import type { ProfileName } from '../support/upstream/profile.ts';
import { PROFILES } from '../support/upstream/profiles.ts';
import { startUpstream } from '../support/upstream/upstream.ts';

const IMAGE = makeImage({ attestations: true, layers: [300_000, 70_000, 1000] });
const USERS = { ada: 'secret-of-ada', eve: 'secret-of-eve' };
const ADA = { username: 'ada', password: 'secret-of-ada' };
const EVE = { username: 'eve', password: 'secret-of-eve' };

for (const profile of Object.keys(PROFILES) as ProfileName[]) {
  const namespace = NAMESPACE[profile];
  const registry = `https://${hostOf(namespace)}`;
  const login = profile === 'basic' ? { credentials: ADA } : {};
  for (const model of CLIENT_MODELS) {
    test(`${model} pulls from ${profile} through the gateway: cold, warm, by digest, another platform, offline, after a restart`, async (t) => {
      await using upstream = await startUpstream({ profile, users: USERS });
      upstream.add('library/nginx', IMAGE);
      await using gateway = await TestGateway.start({ upstreams: [upstream] });
      const image = () => ({ client: gateway.client, registry, repository: 'library/nginx', ...login });

      const cold = await pull(model, { ...image(), reference: 'latest' });
      t.is(cold.digest, IMAGE.digest);
      t.deepEqual([...cold.blobs.keys()].sort(), blobsOf(IMAGE).sort());
      for (const digest of blobsOf(IMAGE)) {
        t.is(
          upstream.count({ kind: 'blob', method: 'GET', reference: digest, status: 200 }),
          1,
          `${digest} was fetched once`,
        );
      }

      upstream.reset();
      t.is((await pull(model, { ...image(), reference: 'latest' })).digest, IMAGE.digest);
      t.is(upstream.count({ kind: 'blob' }), 0);
      t.is(upstream.count({ kind: 'manifest', method: 'GET' }), 0);
      t.true(upstream.count({ kind: 'manifest', method: 'HEAD', status: 200 }) <= 1);

      const arm = () => ({ ...image(), platform: 'linux/arm64' });
      t.deepEqual(
        [...(await pull(model, { ...arm(), reference: IMAGE.digest })).blobs.keys()].sort(),
        blobsOf(IMAGE, 'linux/arm64').sort(),
      );

      await upstream.down();
      t.is((await pull(model, { ...image(), reference: 'latest' })).digest, IMAGE.digest);
      await gateway.restart();
      t.is((await pull(model, { ...image(), reference: 'latest' })).digest, IMAGE.digest);
      t.is((await pull(model, { ...arm(), reference: IMAGE.digest })).digest, IMAGE.digest);
    });

    // lscr.io answers with redirects to another registry, where no credential of its clients ever goes.
    if (PROFILES[profile].auth === 'open' || profile === 'lscr') continue;
    test(`${model} pulls a private repository of ${profile} through the gateway with its own login, and nobody else does`, async (t) => {
      await using upstream = await startUpstream({ profile, users: USERS });
      upstream.add('acme/secret', IMAGE, { access: ['ada'] });
      await using gateway = await TestGateway.start({ upstreams: [upstream] });
      const image = () => ({ client: gateway.client, registry, repository: 'acme/secret', reference: 'latest' });
      t.is((await pull(model, { ...image(), credentials: ADA })).digest, IMAGE.digest);
      await t.throwsAsync(pull(model, image()), { instanceOf: PullError });
      await t.throwsAsync(pull(model, { ...image(), credentials: EVE }), { instanceOf: PullError });
      await t.throwsAsync(pull(model, { ...image(), credentials: { ...ADA, password: 'wrong' } }), {
        instanceOf: PullError,
      });
      upstream.reset();
      t.is((await pull(model, { ...image(), credentials: ADA })).digest, IMAGE.digest);
      t.is(upstream.count({ kind: 'blob', method: 'GET' }), 0);

      await upstream.down();
      await gateway.restart();
      t.is((await pull(model, { ...image(), credentials: ADA })).digest, IMAGE.digest);
      await t.throwsAsync(pull(model, image()), { instanceOf: PullError });
      await t.throwsAsync(pull(model, { ...image(), credentials: EVE }), { instanceOf: PullError });
    });
  }
}
