import test from 'ava';
import { hostOf, NAMESPACE, TestGateway } from '../support/gateway.ts';
import { blobsOf, type Image, makeImage } from '../support/image.ts';
import { CLIENT_MODELS, type ClientModel, pull } from '../support/pull/pull.ts';
import { PullError } from '../support/pull/session.ts';
import type { ProfileName } from '../support/upstream/profile.ts';
import { PROFILES } from '../support/upstream/profiles.ts';
import { startUpstream } from '../support/upstream/upstream.ts';

const USERS = { ada: 'secret-of-ada', eve: 'secret-of-eve' };
const ADA = { username: 'ada', password: 'secret-of-ada' };
const EVE = { username: 'eve', password: 'secret-of-eve' };

/** An image that only one client model pulls, so that it is cold for it. */
function imageFor(model: ClientModel): Image {
  return makeImage({ seed: model, attestations: true, layers: [300_000, 70_000, 1000] });
}

const IMAGES = new Map(CLIENT_MODELS.map((model) => [model, imageFor(model)]));

/** Lets every client model do its part of a pull at the same time, each with its own repository. */
function each(act: (model: ClientModel, image: Image, repository: string) => Promise<void>): Promise<unknown> {
  return Promise.all([...IMAGES].map(([model, image]) => act(model, image, `library/${model}`)));
}

for (const profile of Object.keys(PROFILES) as ProfileName[]) {
  const registry = `https://${hostOf(NAMESPACE[profile])}`;
  const login = profile === 'basic' ? { credentials: ADA } : {};

  test(`every client model pulls from ${profile} through the gateway: cold, warm, by digest, another platform, offline, after a restart`, async (t) => {
    await using upstream = await startUpstream({ profile, users: USERS });
    await each(async (_, image, repository) => void upstream.add(repository, image));
    await using gateway = await TestGateway.start({ upstreams: [upstream] });
    const from = (repository: string) => ({ client: gateway.client, registry, repository, ...login });

    await each(async (model, image, repository) => {
      const cold = await pull(model, { ...from(repository), reference: 'latest' });
      t.is(cold.digest, image.digest);
      t.deepEqual([...cold.blobs.keys()].sort(), blobsOf(image).sort());
      for (const digest of blobsOf(image)) {
        const downloads = upstream.count({ kind: 'blob', method: 'GET', reference: digest, status: 200 });
        t.is(downloads, 1, `${digest} was fetched once`);
      }
    });

    upstream.reset();
    await each(async (model, image, repository) => {
      t.is((await pull(model, { ...from(repository), reference: 'latest' })).digest, image.digest);
      t.is(upstream.count({ kind: 'manifest', method: 'GET', repository }), 0);
      t.true(upstream.count({ kind: 'manifest', method: 'HEAD', status: 200, repository }) <= 1);
    });
    t.is(upstream.count({ kind: 'blob' }), 0);

    const arm = (repository: string) => ({ ...from(repository), platform: 'linux/arm64' });
    await each(async (model, image, repository) => {
      const other = await pull(model, { ...arm(repository), reference: image.digest });
      t.deepEqual([...other.blobs.keys()].sort(), blobsOf(image, 'linux/arm64').sort());
    });

    await upstream.down();
    await each(async (model, image, repository) => {
      t.is((await pull(model, { ...from(repository), reference: 'latest' })).digest, image.digest);
    });
    await gateway.restart();
    await each(async (model, image, repository) => {
      t.is((await pull(model, { ...from(repository), reference: 'latest' })).digest, image.digest);
      t.is((await pull(model, { ...arm(repository), reference: image.digest })).digest, image.digest);
    });
  });

  // lscr.io answers with redirects to another registry, where no credential of its clients ever goes.
  if (PROFILES[profile].auth === 'open' || profile === 'lscr') continue;
  test(`every client model pulls a private repository of ${profile} through the gateway with its own login, and nobody else does`, async (t) => {
    await using upstream = await startUpstream({ profile, users: USERS });
    await each(async (_, image, repository) => void upstream.add(repository, image, { access: ['ada'] }));
    await using gateway = await TestGateway.start({ upstreams: [upstream] });
    const pullAs = (model: ClientModel, repository: string, credentials?: typeof ADA) => {
      const of = { client: gateway.client, registry, repository, reference: 'latest' };
      return pull(model, credentials === undefined ? of : { ...of, credentials });
    };
    const refused = { instanceOf: PullError };

    await each(async (model, image, repository) => {
      t.is((await pullAs(model, repository, ADA)).digest, image.digest);
      await t.throwsAsync(pullAs(model, repository), refused);
      await t.throwsAsync(pullAs(model, repository, EVE), refused);
      await t.throwsAsync(pullAs(model, repository, { ...ADA, password: 'wrong' }), refused);
    });
    upstream.reset();
    await each(async (model, image, repository) => {
      t.is((await pullAs(model, repository, ADA)).digest, image.digest);
    });
    t.is(upstream.count({ kind: 'blob', method: 'GET' }), 0);

    await upstream.down();
    await gateway.restart();
    await each(async (model, image, repository) => {
      t.is((await pullAs(model, repository, ADA)).digest, image.digest);
      await t.throwsAsync(pullAs(model, repository), refused);
      await t.throwsAsync(pullAs(model, repository, EVE), refused);
    });
  });
}
