import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createSecureContext } from 'node:tls';
import { addressBytes } from './address.ts';
import type { ServerCertificate } from './leaves.ts';

/** Where a certificate that was made elsewhere lies: the chain with the server's first, and its key; both PEM. */
export interface BroughtFiles {
  readonly chain: string;
  readonly key: string;
}

/** A certificate that was made elsewhere, shown for the names it covers. */
export interface Brought extends ServerCertificate {
  readonly notAfter: Date;
  /** Whether clients accept it for this host name or IP address. */
  covers(hostOrIp: string): boolean;
}

/** Throws an error that names the files when they are no certificate and its key. */
export async function readBrought(files: BroughtFiles): Promise<Brought> {
  const [cert, key] = await Promise.all([readFile(files.chain, 'utf8'), readFile(files.key, 'utf8')]);
  try {
    const first = new X509Certificate(cert);
    return {
      cert,
      key,
      // Fails when they do not belong together.
      context: createSecureContext({ cert, key }),
      notAfter: first.validToDate,
      covers: (hostOrIp) =>
        addressBytes(hostOrIp) === undefined
          ? first.checkHost(hostOrIp, { subject: 'never' }) !== undefined
          : first.checkIP(hostOrIp) !== undefined,
    };
  } catch (cause) {
    throw new Error(`${files.chain} and ${files.key} are not a certificate and its unencrypted key in PEM`, { cause });
  }
}
