import type { Image } from '../../support/image.ts';
import type { FakeUpstream } from '../../support/upstream/upstream.ts';
import type { Account } from '../clients/client.ts';

/** A repository at an upstream, with what it holds. */
export interface Repository {
  /** As clients name it, with the registry: `docker.io/library/app`. */
  readonly name: string;
  readonly image: Image;
  /** Absent: everybody may pull. */
  readonly account?: Account;
}

/** A registry of its own behind the gateway. */
export interface Upstream extends AsyncDisposable {
  /** The name clients know it by, one of the gateway's presets. */
  readonly registry: string;
  /** What the gateway's configuration says about it. */
  readonly settings: Readonly<Record<string, unknown>>;
  /** Where the names of its hosts lead without a gateway; empty when only the gateway can find it. */
  readonly hosts: ReadonlyMap<string, string>;
  /** PEM of the authority behind its certificates. */
  readonly ca: string;
  /** The repository that most steps pull from. */
  readonly app: Repository;
  /** A repository that only its account may pull from; absent where the registry knows no accounts. */
  readonly secret?: Repository;
  /** The imitation itself, to which content and faults can be added; absent where a real registry runs. */
  readonly fake?: FakeUpstream;
  /** Bytes of blobs sent so far, by digest. */
  blobBytes(): Promise<ReadonlyMap<string, number>>;
  /** What the registry itself says a tag is. */
  digest(repository: Repository, tag: string): Promise<string | undefined>;
}
