import { createHash, type KeyObject, randomBytes, sign, type X509Certificate } from 'node:crypto';
import forge from 'node-forge';
import {
  bitString,
  content,
  type Der,
  decode,
  encode,
  isObjectIdentifier,
  isTagged,
  member,
  members,
  objectIdentifier,
  sequence,
} from './der.ts';

const ecdsaWithSha256 = '1.2.840.10045.4.3.2';
const ecPublicKey = '1.2.840.10045.2.1';
const prime256v1 = '1.2.840.10045.3.1.7';

/** Extensions that we encode ourselves, because node-forge does not know them or our kind of key. */
export const extensionId = {
  subjectKeyIdentifier: '2.5.29.14',
  subjectAltName: '2.5.29.17',
  nameConstraints: '2.5.29.30',
  authorityKeyIdentifier: '2.5.29.35',
} as const;

/** An extension in node-forge's words: by its name with fields, or by its id with a DER value. */
export type Extension = { readonly critical?: boolean } & (
  | { readonly name: string; readonly [field: string]: unknown }
  | { readonly id: string; readonly value: Der }
);

/** What stands in a certificate. Times are whole seconds in milliseconds since 1970. */
export interface CertificateFields {
  readonly issuer: Der;
  readonly subject: Der;
  readonly notBefore: number;
  readonly notAfter: number;
  /** P-256. */
  readonly publicKey: KeyObject;
  readonly extensions: readonly Extension[];
}

/**
 * A signed X.509v3 certificate (RFC 5280) as PEM. node-forge assembles it around a placeholder because it knows RSA
 * keys only; the P-256 key, the algorithm (RFC 5758) and the names are put in their places, and node:crypto signs.
 */
export function certify(fields: CertificateFields, issuerKey: KeyObject): string {
  const algorithm = () => sequence(objectIdentifier(ecdsaWithSha256));
  const toBeSigned = member(forge.pki.certificateToAsn1(outline(fields)), 0);
  // TBSCertificate: version, serialNumber, signature, issuer, validity, subject, subjectPublicKeyInfo, extensions.
  const parts = members(toBeSigned);
  parts[2] = algorithm();
  parts[3] = fields.issuer;
  parts[5] = fields.subject;
  parts[6] = publicKeyInfo(fields.publicKey);
  const signature = sign('sha256', encode(toBeSigned), issuerKey);
  const der = encode(sequence(toBeSigned, algorithm(), bitString(signature)));
  const lines = der.toString('base64').match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`;
}

/** A distinguished name (RFC 5280 section 4.1.2.4) of attributes by their long names, in this order. */
export function distinguishedName(attributes: Readonly<Record<string, string>>): Der {
  const fields = Object.entries(attributes).map(([name, value]) => ({ type: forge.pki.oids[name] ?? name, value }));
  return forge.pki.distinguishedNameToAsn1({ attributes: fields });
}

/** Identifies a P-256 public key by its SHA-256, cut to 160 bits (RFC 7093 section 2, method 1). */
export function keyIdentifier(publicKey: KeyObject): Buffer {
  return createHash('sha256').update(point(publicKey)).digest().subarray(0, 20);
}

export function isP256(key: KeyObject): boolean {
  return key.asymmetricKeyType === 'ec' && key.asymmetricKeyDetails?.namedCurve === 'prime256v1';
}

/** The subject as it is written in the certificate, so that a leaf's issuer agrees with it byte by byte. */
export function subjectOf(certificate: X509Certificate): Der {
  return member(member(decode(certificate.raw), 0), 5);
}

/** The decoded value of an extension; `undefined` when the certificate does not have it. */
export function extensionOf(certificate: X509Certificate, id: string): Der | undefined {
  const container = members(member(decode(certificate.raw), 0)).find((node) => isTagged(node, 3));
  const extensions = container === undefined ? [] : members(member(container, 0));
  const found = extensions.find((extension) => isObjectIdentifier(member(extension, 0), id));
  return found === undefined ? undefined : decode(content(member(found, members(found).length - 1)));
}

function outline(fields: CertificateFields): forge.pki.Certificate {
  const certificate = forge.pki.createCertificate();
  const one = new forge.jsbn.BigInteger('1');
  certificate.publicKey = forge.pki.setRsaPublicKey(one, one);
  certificate.serialNumber = serialNumber();
  certificate.siginfo.algorithmOid = ecdsaWithSha256;
  certificate.signatureOid = ecdsaWithSha256;
  certificate.validity.notBefore = new Date(fields.notBefore);
  certificate.validity.notAfter = new Date(fields.notAfter);
  certificate.setExtensions(fields.extensions.map((extension) => ({ ...extension })));
  return certificate;
}

/** 126 random bits: positive and of one length (RFC 5280 section 4.1.2.2 allows 20 bytes). */
function serialNumber(): string {
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x3f) | 0x40;
  return bytes.toString('hex');
}

function publicKeyInfo(publicKey: KeyObject): Der {
  const algorithm = sequence(objectIdentifier(ecPublicKey), objectIdentifier(prime256v1));
  return sequence(algorithm, bitString(point(publicKey)));
}

/** The uncompressed point (SEC 1 section 2.3.3). */
function point(publicKey: KeyObject): Buffer {
  const { x = '', y = '' } = publicKey.export({ format: 'jwk' });
  return Buffer.concat([Buffer.from([4]), Buffer.from(x, 'base64url'), Buffer.from(y, 'base64url')]);
}
