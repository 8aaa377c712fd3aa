import type { X509Certificate } from 'node:crypto';
import { createSecureContext, getCACertificates, type SecureContext } from 'node:tls';
import { shakeHands } from './handshake.ts';
import type { RegistryName } from './names.ts';
import type { Shaken, TrustFacts } from './trust.ts';
import { probePlaces, systemBundle } from './trust-places.ts';

/** An IP address, and the port of the TLS listener. */
interface Listener {
  readonly address: string;
  readonly port: number;
}

/** What the clients of the machine below `root` trust, and what they are shown for each name. */
export async function probeTrust(
  root: string,
  roots: readonly X509Certificate[],
  names: readonly RegistryName[],
  listener: Listener | undefined,
): Promise<Omit<TrustFacts, 'gateway'>> {
  const trust = await trustOf(root);
  const shaken = listener === undefined ? [] : names.map(({ name }) => shake(name, listener, trust));
  return {
    now: Date.now(),
    roots: roots.map((certificate) => ({
      fingerprint: certificate.fingerprint256,
      notAfter: spanOf(certificate).notAfter,
    })),
    places: await probePlaces(root, roots),
    handshakes: await Promise.all(shaken),
    led: new Set(names.filter(({ here }) => here.length > 0).map(({ name }) => name)),
  };
}

/** When a certificate is valid, milliseconds since 1970. */
export function spanOf(certificate: X509Certificate): { readonly notBefore: number; readonly notAfter: number } {
  return { notBefore: certificate.validFromDate.getTime(), notAfter: certificate.validToDate.getTime() };
}

async function shake(name: string, listener: Listener, trust: SecureContext): Promise<Shaken> {
  const { trusted, code, certificate } = await shakeHands({ ...listener, name, trust });
  return { name, trusted, shown: certificate !== undefined, ...(code !== undefined && { code }) };
}

/** What programs of the system trust; where that is in no file, as on macOS and Windows, what Node is told. */
async function trustOf(root: string): Promise<SecureContext> {
  const bundle = await systemBundle(root);
  const instead = root === '/' ? getCACertificates('system') : [];
  return createSecureContext({ ca: bundle?.text ?? instead });
}
