import { cp, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { TestGateway } from '../support/gateway.ts';
import { blobsOf, type Image, makeImage, topOf } from '../support/image.ts';
import { type FakeUpstream, startUpstream } from '../support/upstream/upstream.ts';
import { bearer, eventually, settledOnDisk, urlOf } from './doors.ts';

const ADA = { username: 'ada', password: 'of-ada' };

interface Site {
  readonly hub: FakeUpstream;
  readonly gateway: TestGateway;
  readonly image: Image;
  /** Copies these of the gateway's directory away while it runs. */
  backUp(...names: string[]): Promise<void>;
  /** Ends the gateway, loses all that it has but its configuration, brings back what was copied, starts it again. */
  restore(): Promise<void>;
}

/** Ada has pulled a private image. */
async function siteOf(t: ExecutionContext): Promise<Site> {
  const hub = await startUpstream({ profile: 'hub', tls: false, users: { ada: 'of-ada' } });
  const gateway = await TestGateway.start({ upstreams: [hub] });
  const copy = await mkdtemp(join(tmpdir(), 'layover-backup-'));
  t.teardown(async () => {
    await gateway[Symbol.asyncDispose]();
    await hub.close();
    await rm(copy, { recursive: true, force: true });
  });
  const image = makeImage({ seed: t.title, layers: [100_000] });
  hub.repositories.open('acme/app', ['ada']);
  hub.add('acme/app', image);
  const pulled = await pull(gateway, image, ADA);
  t.deepEqual(new Set(pulled), new Set([200]));
  for (const digest of blobsOf(image)) await settledOnDisk(gateway, digest);
  return {
    hub,
    gateway,
    image,
    backUp: async (...names) => {
      for (const name of names) await cp(join(gateway.dir, name), join(copy, name), { recursive: true });
    },
    restore: async () => {
      await gateway.down();
      for (const name of ['data', 'certs']) await rm(join(gateway.dir, name), { recursive: true });
      await mkdir(join(gateway.dir, 'certs'), { mode: 0o700 });
      await cp(copy, gateway.dir, { recursive: true });
      await gateway.up();
    },
  };
}

/** The statuses of the manifest and all blobs. */
async function pull(gateway: TestGateway, image: Image, login?: typeof ADA): Promise<(number | undefined)[]> {
  const headers = await bearer(gateway.client, 'docker.io', 'acme/app', login);
  const parts = [`manifests/${topOf(image).digest}`, ...blobsOf(image).map((digest) => `blobs/${digest}`)];
  const statuses: (number | undefined)[] = [];
  for (const part of parts) {
    const url = urlOf(gateway, 'transparent', 'docker.io', 'acme/app', part);
    statuses.push((await gateway.client.request(url, { headers })).status);
  }
  return statuses;
}

test('a copy of all files that was made while the gateway ran brings everything back, rights included', async (t) => {
  const { hub, gateway, image, backUp, restore } = await siteOf(t);
  const trusted = await gateway.rootCertificate();
  await backUp('data', 'certs');
  await restore();
  await hub.down();
  t.is(await gateway.rootCertificate(), trusted);
  t.deepEqual(new Set(await pull(gateway, image, ADA)), new Set([200]));
  t.false((await pull(gateway, image)).includes(200));
});

test('a copy of the certificates alone is enough for clients to go on with an empty cache', async (t) => {
  const { gateway, image, backUp, restore } = await siteOf(t);
  const trusted = await gateway.rootCertificate();
  await backUp('certs');
  await restore();
  t.is(await gateway.rootCertificate(), trusted);
  t.deepEqual(new Set(await pull(gateway, image, ADA)), new Set([200]));
});

test('a cache without the key of its rights opens nothing private until it was proven again', async (t) => {
  const { hub, gateway, image, backUp, restore } = await siteOf(t);
  await backUp('data/cache', 'data/layout.json', 'certs');
  await restore();
  await hub.down();
  t.false((await pull(gateway, image, ADA)).includes(200));
  await hub.up();
  // The upstream is tried again every second.
  const statuses = await eventually(
    () => pull(gateway, image, ADA),
    (found) => found.every((status) => status === 200),
    20_000,
  );
  t.deepEqual(new Set(statuses), new Set([200]));
});
