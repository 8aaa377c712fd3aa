/** An open committed object. Reading at a position does not move anything; several readers may share one. */
export interface StoredObject extends AsyncDisposable {
  /** Bytes. */
  readonly size: number;
  /** Fills as much of `buffer` as the object has from `position` on; returns the bytes read, 0 only at the end. */
  read(buffer: Uint8Array, position: number): Promise<number>;
}

export interface PutOptions {
  /** Write only when nothing is there, or only over the version with this entity tag. */
  readonly condition?: { readonly ifAbsent: true } | { readonly ifMatch: string };
  /** Survives a power cut once the promise resolves. */
  readonly durable?: boolean;
}

export interface ObjectStat {
  readonly size: number;
  readonly modified: Date;
  /** Opaque; changes with every `put`. */
  readonly etag: string;
}

/**
 * Committed, immutable or small objects by key (`/`-separated components of visible ASCII, none empty or with a
 * leading dot; no key is the beginning of another's path). Eight methods that an S3 bucket can do without tricks: no
 * append, no rename, no directory, no touch.
 */
export interface Backend {
  open(key: string): Promise<StoredObject | undefined>;
  /** The whole of a small object with the entity tag a conditional `put` wants. */
  get(key: string): Promise<{ readonly bytes: Uint8Array; readonly etag: string } | undefined>;
  /** Atomic. `false` when the condition did not hold. */
  put(key: string, bytes: Uint8Array, options?: PutOptions): Promise<boolean>;
  /** Publishes a finished local file under `key`, durably; the file is gone afterwards. First writer wins. */
  adopt(key: string, path: string): Promise<void>;
  stat(key: string): Promise<ObjectStat | undefined>;
  /** `false` when there was nothing. Durable: it does not come back after a power cut. */
  remove(key: string, options?: { readonly durable?: boolean }): Promise<boolean>;
  /** Up to `limit` (1000) keys that begin with `prefix` and sort after `after`, in byte order. */
  list(prefix: string, options?: { readonly after?: string; readonly limit?: number }): Promise<readonly string[]>;
  /** Where a client could fetch the object itself, for backends that can sign such a URL. */
  locate?(key: string): Promise<URL | undefined>;
}
