import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createAuthority } from '../../support/pki.ts';
import type { ProfileName, Role } from '../../support/upstream/profile.ts';
import { type FakeUpstream, startUpstream } from '../../support/upstream/upstream.ts';
import { makeAppImage } from '../images.ts';
import { workspace } from '../machine.ts';
import { run } from '../process.ts';
import type { Repository, Upstream } from './upstream.ts';

const account = { username: 'somebody', password: 'correct horse' };
/** A name of the same registry that the gateway's configuration does not know. */
export const unconfigured = 'registry.example';

/** The names of a registry's hosts on the internet. */
export interface Names {
  readonly registry: string;
  readonly cdn: string;
  readonly token?: string;
}

const addresses: Readonly<Partial<Record<Role, string>>> = {
  registry: '192.0.2.2',
  token: '192.0.2.3',
  cdn: '192.0.2.4',
};

/** A public registry with its token server and its CDN, as the pull tests know it, under its own names on port 443. */
class FakeRegistry implements Upstream {
  readonly registry: string;
  readonly settings: Readonly<Record<string, unknown>>;
  readonly hosts: ReadonlyMap<string, string>;
  readonly ca: string;
  readonly app: Repository;
  readonly secret: Repository;
  readonly fake: FakeUpstream;

  private constructor(registry: string, names: Names, fake: FakeUpstream, caFile: string) {
    this.registry = registry;
    this.settings = {
      urls: [fake.url()],
      ca: caFile,
      tokenHosts: [names.registry, names.token ?? names.registry],
      blobHosts: [names.cdn],
    };
    this.hosts = new Map(
      [...Object.entries(names), ['registry', unconfigured]].map(([role, name]) => [name, addressOf(role as Role)]),
    );
    this.ca = fake.ca ?? '';
    this.app = { name: `${registry}/library/app`, image: makeAppImage(`${registry} app`, ['1']) };
    this.secret = { name: `${registry}/team/secret`, image: makeAppImage(`${registry} secret`, ['1']), account };
    this.fake = fake;
    fake.add('library/app', this.app.image);
    fake.add('team/secret', this.secret.image, { access: [account.username] });
  }

  static async start(registry: string, profile: ProfileName, names: Names): Promise<FakeRegistry> {
    // no interface has these addresses: the gateway would take them for its own
    for (const address of Object.values(addresses)) await run(['ip', 'route', 'add', 'local', address, 'dev', 'lo']);
    const hosts = Object.fromEntries(
      Object.entries(names).map(([role, name]) => [role, { name, address: addressOf(role as Role), port: 443 }]),
    );
    const authority = createAuthority();
    const fake = await startUpstream({
      profile,
      hosts,
      users: { [account.username]: account.password },
      tls: { authority, names: [...Object.values(names), unconfigured] },
    });
    const caFile = join(workspace, 'fake-ca.pem');
    await writeFile(caFile, authority.ca);
    return new FakeRegistry(registry, names, fake, caFile);
  }

  async blobBytes(): Promise<ReadonlyMap<string, number>> {
    const sent = new Map<string, number>();
    for (const { kind, method, status, reference, bytes } of this.fake.requests) {
      if (kind !== 'blob' || method !== 'GET' || status >= 300) continue;
      sent.set(reference, (sent.get(reference) ?? 0) + bytes);
    }
    return sent;
  }

  async digest({ name }: Repository, tag: string): Promise<string | undefined> {
    return this.fake.repositories.get(name.slice(this.registry.length + 1))?.tags.get(tag);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.fake.close();
  }
}

function addressOf(role: Role): string {
  const address = addresses[role];
  if (address === undefined) throw new Error(`no address for a ${role} host`);
  return address;
}

export function fakeRegistry(registry: string, profile: ProfileName, names: Names): () => Promise<Upstream> {
  return () => FakeRegistry.start(registry, profile, names);
}
