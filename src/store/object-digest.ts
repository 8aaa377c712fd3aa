import { type Algorithm, type Digest, Digester } from '../oci/digest.ts';
import type { StoredObject } from './backend.ts';

const BLOCK = 512 << 10;

/** The digest of an object as far as it can be read. */
export async function digestOfObject(object: StoredObject, algorithm: Algorithm): Promise<Digest> {
  const digester = new Digester(algorithm);
  const buffer = new Uint8Array(BLOCK);
  for (let at = 0; at < object.size; ) {
    const read = await object.read(buffer, at).catch(() => 0);
    if (read === 0) break;
    digester.update(buffer.subarray(0, read));
    at += read;
  }
  return digester.digest();
}
