import { UpstreamError } from '../upstream/contract.ts';

/** The end of a body that is held back until its digest is known (bytes): without it, no wrong body is ever complete. */
export const HELD_BACK = 64 << 10;

export function wrongBytes(): UpstreamError {
  return new UpstreamError('protocol', 'the upstream sent bytes that are not what their digest says');
}
