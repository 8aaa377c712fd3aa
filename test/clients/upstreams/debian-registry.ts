import { mkdir, readFile, writeFile } from 'node:fs/promises';
import type { IncomingHttpHeaders } from 'node:http';
import { request } from 'node:https';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { type Image, TYPES } from '../../support/image.ts';
import { createAuthority } from '../../support/pki.ts';
import type { Account } from '../clients/client.ts';
import { makeAppImage, writeLayout } from '../images.ts';
import { workspace } from '../machine.ts';
import { Daemon, run } from '../process.ts';
import type { Repository, Upstream } from './upstream.ts';

const address = '127.0.0.1:6443';
const account = { username: 'somebody', password: 'correct horse' };
/** The password above by bcrypt, the only hash the registry takes. */
const htpasswd = 'somebody:$2y$04$layoverlayoverlayoveres.3S3OrenC5ymmHvFlL3nWksEs4GKsW\n';
const accessLine = /"GET \/v2\/\S+\/blobs\/(sha256:[0-9a-f]{64}) \S+" 20\d (\d+) /g;

/** Debian's docker-registry behind TLS, with an htpasswd file or open to everybody. */
class DebianRegistry implements Upstream {
  readonly registry: string;
  readonly settings: Readonly<Record<string, unknown>>;
  readonly hosts: ReadonlyMap<string, string> = new Map();
  readonly ca: string;
  readonly app: Repository;
  readonly secret?: Repository;
  readonly #daemon: Daemon;
  readonly #folder: string;

  private constructor(registry: string, folder: string, ca: string, daemon: Daemon, image: Image, owner?: Account) {
    this.registry = registry;
    this.settings = { urls: [`https://${address}`], ca: join(folder, 'trust/ca.crt') };
    this.app = { name: `${registry}/team/app`, image, ...(owner && { account: owner }) };
    if (owner !== undefined) this.secret = this.app;
    this.#daemon = daemon;
    this.#folder = folder;
    this.ca = ca;
  }

  static async start(registry: string, owner?: Account): Promise<DebianRegistry> {
    const folder = join(workspace, 'registry');
    await mkdir(join(folder, 'trust'), { recursive: true });
    const authority = createAuthority();
    const { cert, key } = authority.issue(['127.0.0.1']);
    const files = { 'trust/ca.crt': authority.ca, 'tls.crt': cert, 'tls.key': key, htpasswd };
    for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text);
    await writeFile(join(folder, 'config.yml'), stringify(registryConfiguration(folder, owner !== undefined)));
    const daemon = new Daemon(['docker-registry', 'serve', join(folder, 'config.yml')], join(folder, 'registry.log'));
    const image = makeAppImage(registry, ['1']);
    const upstream = new DebianRegistry(registry, folder, authority.ca, daemon, image, owner);
    await daemon.ready(() => upstream.#get('/v2/'));
    await upstream.#fill();
    return upstream;
  }

  async blobBytes(): Promise<ReadonlyMap<string, number>> {
    const log = await readFile(join(this.#folder, 'registry.log'), 'utf8');
    const bytes = new Map<string, number>();
    for (const [, digest = '', size] of log.matchAll(accessLine)) {
      bytes.set(digest, (bytes.get(digest) ?? 0) + Number(size));
    }
    return bytes;
  }

  async digest({ name }: Repository, tag: string): Promise<string> {
    const headers = await this.#get(`/v2/${name.slice(this.registry.length + 1)}/manifests/${tag}`);
    return String(headers['docker-content-digest']);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#daemon[Symbol.asyncDispose]();
  }

  async #fill(): Promise<void> {
    const { name, image } = this.app;
    const layout = join(this.#folder, 'layout');
    await writeLayout(image, layout);
    const target = `docker://${address}/${name.slice(this.registry.length + 1)}:${image.tags[0]}`;
    const trust = ['--dest-cert-dir', join(this.#folder, 'trust')];
    const login = ['--dest-creds', `${account.username}:${account.password}`];
    await run(['skopeo', 'copy', '--all', '--preserve-digests', ...trust, ...login, `oci:${layout}`, target]);
  }

  #get(path: string): Promise<IncomingHttpHeaders> {
    const accept = [TYPES.ociIndex, TYPES.ociManifest, TYPES.dockerList, TYPES.dockerManifest].join(', ');
    const auth = `${account.username}:${account.password}`;
    return new Promise((resolve, reject) => {
      const sent = request(`https://${address}${path}`, { ca: this.ca, auth, headers: { accept } }, (response) => {
        response.resume();
        if (response.statusCode === 200) resolve(response.headers);
        else reject(new Error(`${path}: ${response.statusCode}`));
      });
      sent.on('error', reject);
      sent.end();
    });
  }
}

function registryConfiguration(folder: string, accounts: boolean): object {
  const auth = { htpasswd: { realm: 'test', path: join(folder, 'htpasswd') } };
  return {
    version: 0.1,
    storage: { filesystem: { rootdirectory: join(folder, 'data') } },
    http: { addr: address, tls: { certificate: join(folder, 'tls.crt'), key: join(folder, 'tls.key') } },
    ...(accounts && { auth }),
  };
}

export function openRegistry(): Promise<Upstream> {
  return DebianRegistry.start('quay.io');
}

export function htpasswdRegistry(): Promise<Upstream> {
  return DebianRegistry.start('ghcr.io', account);
}
