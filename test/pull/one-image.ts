import type { ExecutionContext } from 'ava';
import type { ClientResponse } from '../support/client.ts';
import { TestGateway } from '../support/gateway.ts';
import { type Image, topOf } from '../support/image.ts';
import { type FakeUpstream, startUpstream } from '../support/upstream/upstream.ts';
import { urlOf } from './doors.ts';

export const REGISTRY = 'mcr.microsoft.com';
export const REPOSITORY = 'library/nginx';

/** A gateway in front of one registry with one image. */
export interface Stage {
  readonly upstream: FakeUpstream;
  readonly gateway: TestGateway;
  /** Asks the gateway for something of the image's repository. */
  readonly get: (rest: string) => Promise<ClientResponse>;
}

/** `settings` of the upstream; `storage` of the gateway. */
export async function oneImage(
  t: ExecutionContext,
  image: Image,
  settings: Readonly<Record<string, unknown>>,
  storage: Readonly<Record<string, unknown>> = {},
): Promise<Stage> {
  const upstream = await startUpstream({ profile: 'mcr', tls: false });
  t.teardown(() => upstream.close());
  upstream.add(REPOSITORY, image);
  const options = { upstreams: [upstream], settings: { [REGISTRY]: settings }, config: { storage } };
  const gateway = await TestGateway.start(options);
  t.teardown(() => gateway[Symbol.asyncDispose]());
  const get = (rest: string) => gateway.client.request(urlOf(gateway, 'path', REGISTRY, REPOSITORY, rest));
  return { upstream, gateway, get };
}

/** The digest of an image's manifest for one architecture. */
export function manifestFor(image: Image, architecture: string): string {
  const { manifests } = JSON.parse(topOf(image).bytes.toString()) as {
    manifests: { digest: string; platform: { architecture: string } }[];
  };
  return manifests.find(({ platform }) => platform.architecture === architecture)?.digest ?? '';
}
