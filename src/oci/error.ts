/** Error codes of the distribution-spec ("Error Codes") and of distribution's errcode package, with their usual status. */
const TABLE = {
  BLOB_UNKNOWN: [404, 'blob unknown to registry'],
  BLOB_UPLOAD_INVALID: [400, 'blob upload invalid'],
  BLOB_UPLOAD_UNKNOWN: [404, 'blob upload unknown to registry'],
  DIGEST_INVALID: [400, 'provided digest did not match uploaded content or is malformed'],
  MANIFEST_BLOB_UNKNOWN: [404, 'manifest references a manifest or blob unknown to registry'],
  MANIFEST_INVALID: [400, 'manifest invalid'],
  MANIFEST_UNKNOWN: [404, 'manifest unknown to registry'],
  NAME_INVALID: [400, 'invalid repository name'],
  PAGINATION_NUMBER_INVALID: [400, 'invalid number of results requested'],
  NAME_UNKNOWN: [404, 'repository name not known to registry'],
  SIZE_INVALID: [400, 'provided length did not match content length'],
  /** What no tag can be called is not there, says the conformance program of v1.1. */
  TAG_INVALID: [404, 'invalid tag'],
  UNAUTHORIZED: [401, 'authentication required'],
  DENIED: [403, 'requested access to the resource is denied'],
  UNSUPPORTED: [405, 'the operation is unsupported'],
  RANGE_INVALID: [416, 'requested range not satisfiable'],
  TOOMANYREQUESTS: [429, 'too many requests'],
  BAD_REQUEST: [400, 'malformed request'],
  MISDIRECTED: [421, 'this connection does not serve the requested host'],
  UNKNOWN: [500, 'internal error'],
  UPSTREAM_INVALID: [502, 'the upstream registry broke the protocol'],
  NOT_CACHED: [504, 'this is not cached, and the request forbids to ask for it'],
  UNAVAILABLE: [504, 'the upstream registry cannot be reached'],
  STORAGE: [507, 'storage failed'],
} as const satisfies Record<string, readonly [number, string]>;

export type ErrorCode = keyof typeof TABLE;

export interface RegistryErrorOptions {
  readonly detail?: unknown;
  /** Header fields the answer must carry, such as WWW-Authenticate or Retry-After. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly status?: number;
  readonly cause?: unknown;
  /** An upstream's own error document, answered in place of ours. */
  readonly document?: object;
}

/** The one error an endpoint throws. `message` is shown to clients: it names no secret and no internal host. */
export class RegistryError extends Error {
  override readonly name = 'RegistryError';
  readonly code: ErrorCode;
  readonly status: number;
  readonly detail: unknown;
  readonly headers: Readonly<Record<string, string>>;
  readonly #document: object | undefined;

  constructor(code: ErrorCode, message?: string, options: RegistryErrorOptions = {}) {
    super(message ?? TABLE[code][1], { cause: options.cause });
    this.code = code;
    this.status = options.status ?? TABLE[code][0];
    this.detail = options.detail;
    this.headers = options.headers ?? {};
    this.#document = options.document;
  }

  /** The error document of the distribution-spec ("Error Codes"). */
  toJSON(): object {
    if (this.#document !== undefined) return this.#document;
    const code = EXPOSED_AS[this.code] ?? this.code;
    const detail = this.detail === undefined ? {} : { detail: this.detail };
    return { errors: [{ code, message: this.message, ...detail }] };
  }
}

/** Codes of ours that clients know under a broader name. */
const EXPOSED_AS: Partial<Record<ErrorCode, string>> = {
  BAD_REQUEST: 'UNSUPPORTED',
  MISDIRECTED: 'UNSUPPORTED',
  NOT_CACHED: 'UNAVAILABLE',
  UPSTREAM_INVALID: 'UNAVAILABLE',
  STORAGE: 'UNAVAILABLE',
};
