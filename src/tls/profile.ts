import { createPublicKey, type KeyObject, type X509Certificate } from 'node:crypto';
import { addressBytes } from './address.ts';
import {
  certify,
  distinguishedName,
  type Extension,
  extensionId,
  extensionOf,
  keyIdentifier,
  subjectOf,
} from './certificate.ts';
import { nameConstraints, type Permitted } from './constraints.ts';
import { content, type Der, octetString, sequence, tagged } from './der.ts';

const day = 24 * 60 * 60 * 1000;
/** Certificates begin before they are made, for clients whose clock is behind. */
const backdated = day;
const rootLife = 3652 * day;
const leafLife = 90 * day;

/** A leaf certificate. Times are milliseconds since 1970. */
export interface Leaf {
  readonly certificatePem: string;
  readonly notBefore: number;
  readonly notAfter: number;
}

export interface Issuer {
  readonly certificate: X509Certificate;
  readonly key: KeyObject;
}

/** A self-signed root CA certificate (PEM) that vouches for these names and addresses for ten years from `now`. */
export function rootCertificate(key: KeyObject, permitted: Permitted, now: number): string {
  const publicKey = createPublicKey(key);
  const identifier = keyIdentifier(publicKey);
  // The name follows the key, so that a certificate made anew continues the old one.
  const subject = distinguishedName({
    organizationName: 'Layover',
    commonName: `Layover root CA ${identifier.toString('hex', 0, 4)}`,
  });
  return certify({ issuer: subject, subject, publicKey, ...life(now, rootLife), extensions: rootExtensions() }, key);

  function rootExtensions(): Extension[] {
    return [
      { name: 'basicConstraints', critical: true, cA: true, pathLenConstraint: 0 },
      { name: 'keyUsage', critical: true, keyCertSign: true, cRLSign: true },
      // Keeps a stolen key from vouching for code or mail, which have no host names to constrain.
      { name: 'extKeyUsage', serverAuth: true },
      { id: extensionId.subjectKeyIdentifier, value: octetString(identifier) },
      { id: extensionId.nameConstraints, critical: true, value: nameConstraints(permitted) },
    ];
  }
}

/** A server certificate for these host names and addresses, valid at `now`, for 90 days or as long as its issuer. */
export function leafCertificate(issuer: Issuer, names: readonly string[], publicKey: KeyObject, now: number): Leaf {
  const { notBefore, notAfter } = life(now, leafLife);
  const validity = { notBefore, notAfter: Math.min(notAfter, issuer.certificate.validToDate.getTime()) };
  const extensions: Extension[] = [
    { name: 'keyUsage', critical: true, digitalSignature: true },
    { name: 'extKeyUsage', serverAuth: true },
    // Critical because the subject is empty (RFC 5280 section 4.2.1.6).
    { id: extensionId.subjectAltName, critical: true, value: sequence(...names.map(generalName)) },
    { id: extensionId.authorityKeyIdentifier, value: sequence(tagged(0, issuerIdentifier(issuer.certificate))) },
  ];
  const subject = distinguishedName({});
  const fields = { issuer: subjectOf(issuer.certificate), subject, publicKey, ...validity, extensions };
  return { certificatePem: certify(fields, issuer.key), ...validity };
}

function generalName(name: string): Der {
  const address = addressBytes(name);
  return address === undefined ? tagged(2, Buffer.from(name, 'ascii')) : tagged(7, address);
}

function issuerIdentifier(certificate: X509Certificate): Buffer {
  const extension = extensionOf(certificate, extensionId.subjectKeyIdentifier);
  return extension === undefined ? keyIdentifier(certificate.publicKey) : content(extension);
}

function life(now: number, length: number): { notBefore: number; notAfter: number } {
  const notBefore = Math.floor((now - backdated) / 1000) * 1000;
  return { notBefore, notAfter: notBefore + length };
}
