import { setTimeout as sleep } from 'node:timers/promises';
import type { ClientResponse } from '../client.ts';
import { type Descriptor, TYPES } from '../image.ts';
import { type Challenge, challengeOf, contentOf, type Pulled, type PullOptions, Session } from './session.ts';

const ACCEPT = [
  TYPES.ociManifest,
  TYPES.dockerManifest,
  TYPES.schema1Signed,
  'application/vnd.docker.distribution.manifest.v1+json',
  TYPES.dockerList,
  TYPES.ociIndex,
];

/**
 * Pulls as podman, skopeo, buildah and CRI-O do (containers/image): one ping whose challenge counts for good, GET of
 * the tag without a HEAD before, and Authorization for the registry's own host alone.
 */
export async function pullLikeContainersImage(options: PullOptions): Promise<Pulled> {
  const session = new Session(options, 'containers/5.36.2 (github.com/containers/image)');
  const registry = new URL(options.registry).host;
  const version = { 'docker-distribution-api-version': 'registry/2.0' };
  const { response: ping } = await session.send('GET', new URL(`${options.registry}/v2/`), version);
  if (ping.status !== 200 && ping.status !== 401) throw session.error(`ping answered ${ping.status}`, ping.status);
  const challenge = ping.status === 401 ? challengeOf(ping) : undefined;
  const authorization = challenge === undefined ? undefined : await authorize(session, challenge);
  const get: Get = async (rest, headers) => {
    const allow = (at: URL) => (at.host === registry ? authorization : undefined);
    return (await session.send('GET', session.url(rest), { ...version, ...headers }, allow)).response;
  };
  const manifest = async (reference: string) => {
    const response = await get(`manifests/${reference}`, { accept: ACCEPT });
    const named = response.headers['docker-content-digest'];
    const digest = reference.includes(':') ? reference : String(named);
    return { digest, json: session.keepManifest(digest, response) };
  };
  const top = await manifest(options.reference);
  const image = top.json.manifests === undefined ? top : await manifest(session.choose(top.json).digest);
  await Promise.all(contentOf(image.json).map((descriptor) => fetchBlob(session, get, descriptor)));
  return session.finish(top.digest);
}

type Get = (rest: string, headers: Record<string, string | readonly string[]>) => Promise<ClientResponse>;

/** Resumes a cut body by Range as long as there is progress; only a 206 that fits will do then. */
async function fetchBlob(session: Session, get: Get, descriptor: Descriptor): Promise<void> {
  let bytes = Buffer.alloc(0);
  for (let progress = true; progress; ) {
    const from = bytes.length;
    const response = await get(`blobs/${descriptor.digest}`, from > 0 ? { range: `bytes=${from}-` } : {});
    const start = /^bytes (\d+)-/.exec(response.headers['content-range'] ?? '')?.[1];
    if (response.status !== (from > 0 ? 206 : 200) || (from > 0 && Number(start) !== from)) {
      throw session.error(`blob ${descriptor.digest} answered ${response.status}`, response.status);
    }
    bytes = Buffer.concat([bytes, response.body]);
    if (response.complete) break;
    progress = bytes.length > from;
    // The real client waits a second.
    await sleep(20);
  }
  session.keepBlob(descriptor, bytes);
}

async function authorize(session: Session, challenge: Challenge): Promise<string | undefined> {
  if (challenge.scheme === 'basic') return session.basic();
  const { credentials, repository } = session.options;
  const service = challenge.params.get('service');
  const answer = await session.getToken(challenge, {
    ...(credentials !== undefined && { account: credentials.username }),
    ...(service !== undefined && { service }),
    scope: `repository:${repository}:pull`,
  });
  if (answer.status !== 200) throw session.error(`token endpoint answered ${answer.status}`, answer.status);
  const body = JSON.parse(answer.body.toString()) as { access_token?: string; token?: string };
  return `Bearer ${body.token ?? body.access_token}`;
}
