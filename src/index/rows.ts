import { type Digest, encodedOf, parseDigest } from '../oci/digest.ts';
import type { InventoryObject } from './inventory.ts';
import type { Row } from './sqlite.ts';

/** The columns id, size, used and manifest. */
export function toObject([id, size, used, manifest]: Row): InventoryObject {
  return { id: Number(id), size: Number(size), used: Number(used), isManifest: manifest !== 0 };
}

/** A digest as its bytes alone, whose number tells the algorithm. */
export function encode(digest: string): Uint8Array {
  return Buffer.from(encodedOf(digest as Digest), 'hex');
}

/** What {@link encode} made; `undefined` for anything else. */
export function decode(bytes: unknown): Digest | undefined {
  if (!(bytes instanceof Uint8Array)) return undefined;
  return parseDigest(`${bytes.length === 64 ? 'sha512' : 'sha256'}:${Buffer.from(bytes).toString('hex')}`);
}
