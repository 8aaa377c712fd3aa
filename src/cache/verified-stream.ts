import { once } from 'node:events';
import { pipeline, type Readable, Transform } from 'node:stream';
import { algorithmOf, type Digest, Digester } from '../oci/digest.ts';
import { HELD_BACK, wrongBytes } from './verification.ts';

/**
 * Passes a body of unknown length on, its end only once the whole is known to be what `digest` says. Resolves when
 * there is something to pass on, so that the failure of a small body is an error and not a broken body.
 */
export async function verified(body: Readable, digest: Digest): Promise<Readable> {
  const digester = new Digester(algorithmOf(digest));
  let held = Buffer.alloc(0);
  const gate = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      digester.update(chunk);
      held = Buffer.concat([held, chunk]);
      const released = Math.max(0, held.length - HELD_BACK);
      const out = held.subarray(0, released);
      held = held.subarray(released);
      done(null, out);
    },
    flush(done) {
      if (digester.digest() === digest) done(null, held);
      else done(wrongBytes());
    },
  });
  pipeline(body, gate, () => undefined);
  await once(gate, 'readable');
  return gate;
}
