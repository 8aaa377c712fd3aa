import type { Door } from '../doors.ts';
import type { Machine } from '../machine.ts';

export interface Account {
  readonly username: string;
  readonly password: string;
}

/** What a client holds after a pull, by its own account or by reading its store. */
export interface Pulled {
  /** Every digest under which the client knows the image: of the index, of the platform's manifest. */
  readonly manifests: readonly string[];
  /** Absent where the client makes a config of its own. */
  readonly config?: string;
  /** Digests of the uncompressed layers. */
  readonly layers: readonly string[];
  readonly architecture: string;
}

/** A client with an empty image store of its own; disposing of it ends its daemons. */
export interface Store extends AsyncDisposable {
  /** Checks an account at a registry and keeps it in the store's home. */
  login(registry: string, account: Account): Promise<void>;
  /** Pulls a reference that is complete, such as `docker.io/library/app:1`; `architecture` is that of Go. */
  pull(reference: string, architecture: string): Promise<Pulled>;
  /** Pushes what was pulled as `from` under another name. */
  push(from: string, to: string, architecture: string): Promise<void>;
  /** Throws away what it keeps of a broken pull, wrong bytes or not. */
  discard?(): Promise<void>;
}

export interface Client {
  /** The command that prints the version, for the table. */
  readonly version: readonly string[];
  /** Steps that it cannot do, by name, each with the reason. */
  readonly cannot?: Readonly<Record<string, string>>;
  /** It fetches a layer in several ranges at once. */
  readonly inRanges?: boolean;
  /** What has to be known about steps that it can do, by name. */
  readonly remarks?: Readonly<Record<string, string>>;
  /** `home` is the folder of the accounts that were logged in, which outlives the store. */
  open(machine: Machine, home: string, door: Door): Promise<Store>;
}
