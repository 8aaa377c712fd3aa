import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, X509Certificate } from 'node:crypto';
import { extensionId, extensionOf, isP256 } from './certificate.ts';
import { isPermitted, type Permitted, readConstraints } from './constraints.ts';
import { finishSwitch, keepRootFiles, type RootFiles, readRootFiles, switchRoot } from './custody.ts';
import { type Leaf, leafCertificate, rootCertificate } from './profile.ts';

/** A machine that lost its clock must not make a root that has expired when the clock is right again. */
const earliestClock = Date.UTC(2026, 0, 1);

/** The root CA: what clients trust, and what signs the certificates that we show them. */
export interface Root {
  readonly certificatePem: string;
  /** SHA-256 of the certificate, `AA:BB:…`. */
  readonly fingerprint: string;
  readonly notBefore: Date;
  readonly notAfter: Date;
  /** What the certificate says it vouches for; an older root may cover less than is configured now. */
  readonly permitted: Permitted;
  covers(hostOrIp: string): boolean;
  /**
   * Signs a server certificate for these host names and addresses, valid at `now` and for at most 90 days. It does not
   * ask {@link Root.covers}: one name outside makes clients refuse the whole certificate.
   */
  issueLeaf(names: readonly string[], publicKey: KeyObject, now?: number): Leaf;
}

export interface RootOptions {
  readonly dir: string;
  /** Used only when the certificate has to be made; an existing one keeps what it says. */
  readonly permittedDns: readonly string[];
  readonly permittedIps: readonly string[];
}

/**
 * Loads the root CA from `ca.crt` and `ca.key`, making what is missing; a removed `ca.crt` is made anew for its key.
 * Throws an error that says what to do when the pair is unusable or others could read the key.
 */
export async function openRoot(options: RootOptions, name: 'ca' | 'next' = 'ca'): Promise<Root> {
  const permitted = { dns: options.permittedDns, ips: options.permittedIps };
  await finishSwitch(options.dir);
  await keepRootFiles(options.dir, name, {
    key: makeKey,
    certificate: (key, keyFile) => makeCertificate(readKey(key, keyFile), permitted),
  });
  const root = await readRoot(options.dir, name);
  if (root === undefined) throw new Error(`${name}.crt vanished from ${options.dir}`);
  return root;
}

/** Makes the root that is to serve next, with a key of its own, unless there is one. Nothing serves from it yet. */
export function makeNextRoot(options: RootOptions): Promise<Root> {
  return openRoot(options, 'next');
}

/** Lets the next root serve instead; running gateways see it. `false` when there is none. */
export async function activateNextRoot(dir: string): Promise<boolean> {
  // A next root that nobody could use must not replace one that works.
  await readRoot(dir, 'next');
  return switchRoot(dir);
}

/** The serving root or the next one, if it is there; makes nothing. Throws as {@link openRoot} does. */
export async function readRoot(dir: string, name: 'ca' | 'next'): Promise<Root | undefined> {
  const files = await readRootFiles(dir, name);
  if (files === undefined) return undefined;
  const key = readKey(files.key, files.keyFile);
  const certificate = readCertificate(files, key);
  const constraints = readPermitted(files, certificate);
  return {
    certificatePem: files.certificate,
    fingerprint: certificate.fingerprint256,
    notBefore: certificate.validFromDate,
    notAfter: certificate.validToDate,
    permitted: constraints,
    covers: (hostOrIp) => isPermitted(constraints, hostOrIp),
    issueLeaf: (names, publicKey, now = Date.now()) => leafCertificate({ certificate, key }, names, publicKey, now),
  };
}

function makeKey(): string {
  return generateKeyPairSync('ec', { namedCurve: 'prime256v1' }).privateKey.export({ format: 'pem', type: 'pkcs8' });
}

function makeCertificate(key: KeyObject, permitted: Permitted): string {
  const now = Date.now();
  if (now < earliestClock) throw new Error('the clock of this machine is wrong: set it before a root CA is made');
  return rootCertificate(key, permitted, now);
}

function readKey(pem: string, file: string): KeyObject {
  let key: KeyObject;
  try {
    key = createPrivateKey(pem);
  } catch (error) {
    throw new Error(`${file} is not an unencrypted private key in PEM`, { cause: error });
  }
  if (!isP256(key)) throw new Error(`${file} is not a P-256 key, the only kind that signs our certificates`);
  return key;
}

function readCertificate(files: RootFiles, key: KeyObject): X509Certificate {
  const file = files.certificateFile;
  let certificate: X509Certificate;
  try {
    certificate = new X509Certificate(files.certificate);
  } catch (error) {
    throw new Error(`${file} is not a certificate in PEM`, { cause: error });
  }
  const renewal = `move ${file} away to have a new certificate made for the same key (clients must then trust it)`;
  if (!certificate.checkPrivateKey(key)) {
    throw new Error(`${file} does not belong to ${files.keyFile}: bring the right one back, or ${renewal}`);
  }
  if (!certificate.ca || !certificate.verify(createPublicKey(key))) throw new Error(`${file} is not a root CA`);
  if (certificate.validToDate.getTime() <= Date.now()) {
    throw new Error(`${file} expired on ${certificate.validToDate.toISOString()}: ${renewal}`);
  }
  return certificate;
}

function readPermitted(files: RootFiles, certificate: X509Certificate): Permitted {
  const constraints = extensionOf(certificate, extensionId.nameConstraints);
  if (constraints !== undefined) return readConstraints(constraints);
  throw new Error(
    `${files.certificateFile} has no name constraints: it could vouch for every host on the internet, and is not used`,
  );
}
