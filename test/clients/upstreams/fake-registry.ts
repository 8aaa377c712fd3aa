import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ProfileName } from '../../support/upstream/profile.ts';
import { type FakeUpstream, startUpstream } from '../../support/upstream/upstream.ts';
import { makeAppImage } from '../images.ts';
import { workspace } from '../machine.ts';
import type { Repository, Upstream } from './upstream.ts';

const account = { username: 'somebody', password: 'correct horse' };

/** A public registry with its token server and its CDN, as the pull tests know it. */
class FakeRegistry implements Upstream {
  readonly registry: string;
  readonly settings: Readonly<Record<string, unknown>>;
  readonly app: Repository;
  readonly secret: Repository;
  readonly #fake: FakeUpstream;

  private constructor(registry: string, fake: FakeUpstream, ca: string) {
    this.registry = registry;
    const hosts = (...roles: string[]) => fake.roles.filter((role) => roles.includes(role));
    this.settings = {
      urls: [fake.url()],
      ca,
      tokenHosts: hosts('registry', 'token').map((role) => fake.authority(role)),
      blobHosts: hosts('cdn').map((role) => fake.authority(role)),
    };
    this.app = { name: `${registry}/library/app`, image: makeAppImage(`${registry} app`, ['1']) };
    this.secret = { name: `${registry}/team/secret`, image: makeAppImage(`${registry} secret`, ['1']), account };
    this.#fake = fake;
    fake.add('library/app', this.app.image);
    fake.add('team/secret', this.secret.image, { access: [account.username] });
  }

  static async start(registry: string, profile: ProfileName): Promise<FakeRegistry> {
    const fake = await startUpstream({ profile, users: { [account.username]: account.password } });
    const ca = join(workspace, 'fake-ca.pem');
    await writeFile(ca, fake.ca ?? '');
    return new FakeRegistry(registry, fake, ca);
  }

  async blobBytes(): Promise<ReadonlyMap<string, number>> {
    const sent = new Map<string, number>();
    for (const { kind, method, status, reference, bytes } of this.#fake.requests) {
      if (kind !== 'blob' || method !== 'GET' || status >= 300) continue;
      sent.set(reference, (sent.get(reference) ?? 0) + bytes);
    }
    return sent;
  }

  async digest({ name }: Repository, tag: string): Promise<string | undefined> {
    return this.#fake.repositories.get(name.slice(this.registry.length + 1))?.tags.get(tag);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#fake.close();
  }
}

export function fakeRegistry(registry: string, profile: ProfileName): () => Promise<Upstream> {
  return () => FakeRegistry.start(registry, profile);
}
