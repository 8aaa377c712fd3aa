import { RegistryError } from '../oci/error.ts';
import { UpstreamError } from './contract.ts';

const THROTTLED = 'the upstream registry limits requests';

/**
 * What a client is told of an upstream's failure: 504 for what a retry may cure, 502 for a broken protocol, the
 * upstream's own 429 with its Retry-After and document. Everything else is returned as it is.
 */
export function toClientError(error: unknown): unknown {
  if (!(error instanceof UpstreamError)) return error;
  const document = parse(error.body?.bytes);
  const options = { cause: error, ...(document !== undefined && { document }) };
  switch (error.failure) {
    case 'unreachable':
      return new RegistryError('UNAVAILABLE', undefined, { cause: error });
    case 'throttled':
      return new RegistryError('TOOMANYREQUESTS', error.status === undefined ? error.message : THROTTLED, {
        ...options,
        headers: { 'retry-after': String(Math.max(1, Math.ceil(error.retryAfter ?? 1))) },
      });
    case 'protocol':
      return new RegistryError('UPSTREAM_INVALID', error.message, { cause: error });
    case 'loop':
      return new RegistryError('UPSTREAM_INVALID', error.message, { cause: error, status: 508 });
  }
}

/** Whether the upstream could not be asked, so that what is known from before may stand in for its answer. */
export function isOutOfReach(error: unknown): error is UpstreamError {
  return error instanceof UpstreamError && (error.failure === 'unreachable' || error.failure === 'throttled');
}

function parse(bytes: Uint8Array | undefined): object | undefined {
  if (bytes === undefined) return undefined;
  try {
    const document: unknown = JSON.parse(Buffer.from(bytes).toString('utf8'));
    return typeof document === 'object' && document !== null && 'errors' in document ? document : undefined;
  } catch {
    return undefined;
  }
}
