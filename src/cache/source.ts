import { parseContentRange } from '../oci/range.ts';
import type { Repository } from '../oci/route.ts';
import type { Identity, UpstreamResponse } from '../upstream/contract.ts';
import { principalOf, UpstreamError } from '../upstream/contract.ts';
import type { Upstream } from '../upstream/upstream.ts';

/** Where a blob's bytes can be had, and as whom: one upstream repository that names the digest. */
export interface Source {
  readonly upstream: Upstream;
  readonly repository: Repository;
  readonly identity: Identity;
  /** `/v2/<name>/blobs/<digest>` */
  readonly path: string;
}

/** Whether two sources are the same place asked by the same principal. */
export function sameSource(one: Source, other: Source): boolean {
  return (
    one.upstream === other.upstream &&
    one.path === other.path &&
    principalOf(one.identity) === principalOf(other.identity)
  );
}

/** A body that begins at `start` of a blob of `size` bytes (`undefined`: the upstream did not say). */
export interface Opened {
  readonly response: UpstreamResponse;
  readonly start: number;
  readonly size: number | undefined;
}

/**
 * Asks a source for its bytes from `start` to `end` (exclusive). Resolves with the head of the answer, whatever its
 * status; a success that is encoded, or that is not the range asked for, is a protocol failure.
 */
export async function open(
  source: Source,
  start: number,
  end: number | undefined,
  signal: AbortSignal,
): Promise<Opened> {
  const response = await source.upstream.request({
    kind: 'blob',
    method: 'GET',
    repository: source.repository.name,
    path: source.path,
    identity: source.identity,
    signal,
    ...((start > 0 || end !== undefined) && { range: { start, ...(end !== undefined && { end }) } }),
  });
  try {
    return { response, ...inspect(response, start) };
  } catch (error) {
    response.body.destroy();
    throw error;
  }
}

function inspect({ status, headers }: UpstreamResponse, start: number): Omit<Opened, 'response'> {
  if (status !== 200 && status !== 206) return { start, size: undefined };
  const encoding = headers['content-encoding'];
  if (encoding !== undefined && encoding !== 'identity') {
    throw new UpstreamError('protocol', `the upstream encoded a blob (${encoding}) although identity was asked for`, {
      status,
    });
  }
  if (status === 200) return { start: 0, size: lengthOf(headers['content-length']) };
  const range = parseContentRange(headers['content-range']);
  if (range === undefined || range.start !== start) {
    throw new UpstreamError('protocol', 'the upstream answered another range than the one asked for', { status });
  }
  return { start, size: range.size };
}

/** Reads a Content-Length; `undefined` when absent or malformed. */
export function lengthOf(header: string | undefined): number | undefined {
  if (header === undefined || !/^\d{1,15}$/.test(header)) return undefined;
  return Number(header);
}
