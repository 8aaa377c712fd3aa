import { generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto';
import forge from 'node-forge';

/** A certificate authority for tests: P-256, made in a few milliseconds, valid for a day. */
export interface Authority {
  /** PEM. */
  readonly ca: string;
  /** A certificate for host names and IP addresses, good for servers and for clients; `days` counts from now and may be negative. */
  issue(names: readonly string[], days?: number): { readonly cert: string; readonly key: string };
}

const { asn1 } = forge;
const { Class, Type } = asn1;
const DAY = 24 * 3600 * 1000;
const ECDSA_WITH_SHA256 = '1.2.840.10045.4.3.2';

export function createAuthority(name: string = 'Layover test CA'): Authority {
  const root = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const subject = [{ name: 'commonName', value: `${name} ${randomBytes(4).toString('hex')}` }];
  const extensions = [
    { name: 'basicConstraints', cA: true, critical: true },
    { name: 'keyUsage', keyCertSign: true, cRLSign: true, critical: true },
  ];
  const ca = certificate({ subject, issuer: subject, extensions, days: 1, publicKey: root.publicKey }, root.privateKey);
  return {
    ca,
    issue(names, days = 1) {
      const leaf = generateKeyPairSync('ec', { namedCurve: 'P-256' });
      const altNames = names.map((value) => (isAddress(value) ? { type: 7, ip: value } : { type: 2, value }));
      const cert = certificate(
        {
          subject: [{ name: 'commonName', value: 'test server' }],
          issuer: subject,
          extensions: [
            { name: 'keyUsage', digitalSignature: true, critical: true },
            { name: 'extKeyUsage', serverAuth: true, clientAuth: true },
            { name: 'subjectAltName', altNames },
          ],
          days,
          publicKey: leaf.publicKey,
        },
        root.privateKey,
      );
      return { cert, key: leaf.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString() };
    },
  };
}

interface Plan {
  readonly subject: forge.pki.CertificateField[];
  readonly issuer: forge.pki.CertificateField[];
  readonly extensions: object[];
  readonly days: number;
  readonly publicKey: KeyObject;
}

/** A function of node-forge that its types leave out. */
interface Untyped {
  getTBSCertificate(draft: forge.pki.Certificate): forge.asn1.Asn1;
}

/** node-forge knows no P-256: it lays out the certificate, the key and the signature come from node:crypto. */
function certificate(plan: Plan, signer: KeyObject): string {
  const draft = forge.pki.createCertificate();
  const { BigInteger } = forge.jsbn;
  draft.publicKey = forge.pki.setRsaPublicKey(new BigInteger('3'), new BigInteger('65537'));
  // A first byte from 01 to 7f: DER wants integers without padding, and serials are positive.
  draft.serialNumber = `41${randomBytes(12).toString('hex')}`;
  draft.validity.notBefore = new Date(Date.now() - 2 * DAY);
  draft.validity.notAfter = new Date(Date.now() + plan.days * DAY);
  draft.setSubject(plan.subject);
  draft.setIssuer(plan.issuer);
  draft.setExtensions(plan.extensions);
  draft.siginfo.algorithmOid = forge.pki.oids.sha256WithRSAEncryption ?? '';
  const body = (forge.pki as unknown as Untyped).getTBSCertificate(draft);
  const fields = body.value as forge.asn1.Asn1[];
  fields[2] = algorithm();
  fields[6] = asn1.fromDer(binary(plan.publicKey.export({ type: 'spki', format: 'der' })));
  const der = Buffer.from(asn1.toDer(body).getBytes(), 'binary');
  const signature = `\0${binary(sign('sha256', der, signer))}`;
  const whole = asn1.create(Class.UNIVERSAL, Type.SEQUENCE, true, [
    body,
    algorithm(),
    asn1.create(Class.UNIVERSAL, Type.BITSTRING, false, signature),
  ]);
  return forge.pem.encode({ type: 'CERTIFICATE', body: asn1.toDer(whole).getBytes() });
}

function algorithm(): forge.asn1.Asn1 {
  const oid = asn1.create(Class.UNIVERSAL, Type.OID, false, asn1.oidToDer(ECDSA_WITH_SHA256).getBytes());
  return asn1.create(Class.UNIVERSAL, Type.SEQUENCE, true, [oid]);
}

function binary(bytes: Buffer): string {
  return bytes.toString('binary');
}

function isAddress(name: string): boolean {
  return /^[\d.]+$/.test(name) || name.includes(':');
}
