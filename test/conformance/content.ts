import { digestOf, fromBytes } from '../support/content.ts';
import { makeArtifact, makeImage } from '../support/image.ts';
import { type FakeUpstream, startUpstream } from '../support/upstream/upstream.ts';

export const account = { username: 'somebody', password: 'correct horse' };
export const repository = 'team/conformance';
/** Where the program puts what it makes itself; there from the start, for a registry tells nobody what it has not. */
export const ownRepositories = ['team/first', 'team/second'] as const;

/** What the program is told to read, since it may not push it. */
export interface ReadOnlyContent {
  readonly tags: readonly string[];
  readonly manifests: readonly string[];
  readonly blobs: readonly string[];
  /** Subjects of the referrers API. */
  readonly referrers: readonly string[];
}

/** A registry that asks for tokens and keeps its blobs at a CDN, as Docker Hub does. */
export async function startRegistry(): Promise<FakeUpstream> {
  const upstream = await startUpstream({ profile: 'hub', users: { [account.username]: account.password } });
  for (const name of ownRepositories) upstream.repositories.open(name);
  return upstream;
}

/** Puts one of everything that the program itself would push into the repository: by format, algorithm and kind. */
export function fill(upstream: FakeUpstream): ReadOnlyContent {
  const platforms = ['linux/amd64'];
  const image = makeImage({ seed: 'image', tags: ['image', 'latest'], platforms });
  const images = [
    image,
    makeImage({ seed: 'index', tags: ['index'], attestations: true, layers: [3 * 2 ** 20, 4096] }),
    makeImage({ seed: 'docker', tags: ['docker-list'], format: 'docker' }),
    makeImage({ seed: 'sha512', tags: ['sha512'], algorithm: 'sha512' }),
    makeImage({ seed: 'bare', tags: ['no-layers'], platforms, layers: [] }),
    makeArtifact(image, { seed: 'signature', tags: ['signature'] }),
    makeArtifact(image, { seed: 'inventory', artifactType: 'application/vnd.example.inventory' }),
  ];
  for (const each of images) upstream.add(repository, each);
  const empty = fromBytes('');
  upstream.addBlob(repository, { digest: digestOf(empty), content: empty });
  const stored = upstream.repositories.open(repository);
  return {
    tags: [...stored.tags.keys()],
    manifests: [...stored.manifests.keys()],
    blobs: [...stored.blobs.keys()],
    referrers: [image.digest],
  };
}
