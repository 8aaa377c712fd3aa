import type { CacheResult } from '../events.ts';

/** What one line of an access log says about one request. */
export interface Entry {
  /** The end of the request, milliseconds since 1970. */
  readonly time: number;
  readonly client: string;
  readonly method: string;
  /** The namespace, or in nginx's format its alias. */
  readonly upstream: string | undefined;
  /** The upstream and the repository. */
  readonly image: string | undefined;
  /** A tag or a digest. */
  readonly reference: string | undefined;
  readonly status: number;
  readonly cache: CacheResult;
  /** Absent in nginx's format. */
  readonly why: string | undefined;
  /** Of the body. */
  readonly bytes: number;
  /** Milliseconds; absent in nginx's format. */
  readonly firstByte: number | undefined;
  readonly total: number | undefined;
}

/** Why a line says nothing: broken off or overwritten, or written by something else. */
export type Unreadable =
  | 'damaged JSON'
  | 'JSON of something else'
  | 'in no format of ours'
  | 'of an impossible time'
  | 'damaged compression';
