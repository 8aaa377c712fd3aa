import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { patience } from './bounded.ts';

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;
/** Bytes; two roots take some thousands. */
const MOST = 256 * 1024;

/** The certificates in a text of PEM; what is no certificate is left out. */
export function certificatesIn(text: string): readonly X509Certificate[] {
  return [...text.matchAll(CERTIFICATE)].flatMap(([pem]) => {
    try {
      return [new X509Certificate(pem)];
    } catch {
      return [];
    }
  });
}

/** The serving root of a gateway and the next one, as they lie in its directory; none when they cannot be read. */
export async function rootsIn(dir: string): Promise<readonly X509Certificate[]> {
  const texts = await Promise.all(
    ['ca.crt', 'next.crt'].map((file) => readFile(join(dir, file), 'utf8').catch(() => '')),
  );
  return texts.flatMap(certificatesIn);
}

/** What a gateway says of itself on its plain listener. */
export interface Introduction {
  /** None when it is no gateway. */
  readonly roots: readonly X509Certificate[];
  /** Milliseconds that this machine's clock is ahead of the other's. */
  readonly ahead?: number;
  /** Why nothing was said. */
  readonly error?: string;
}

/** Asks the plain listener at `origin` for the root, as new clients do. */
export async function introduce(origin: string): Promise<Introduction> {
  try {
    const response = await fetch(`${origin}/ca.crt`, {
      signal: AbortSignal.timeout(patience.question),
      redirect: 'error',
    });
    const length = Number(response.headers.get('content-length'));
    const text = response.ok && length > 0 && length < MOST ? await response.text() : '';
    await response.body?.cancel().catch(() => {});
    const ahead = aheadOf(response.headers.get('date') ?? undefined, Date.now());
    return { roots: certificatesIn(text), ...(ahead !== undefined && { ahead }) };
  } catch (error) {
    return { roots: [], error: causeOf(error) };
  }
}

/** Milliseconds by which `now` is later than a Date field says. */
export function aheadOf(date: string | undefined, now: number): number | undefined {
  const then = date === undefined ? Number.NaN : Date.parse(date);
  return Number.isNaN(then) ? undefined : now - then;
}

function causeOf(error: unknown): string {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  if (!(cause instanceof Error)) return String(cause);
  return 'code' in cause && typeof cause.code === 'string' ? cause.code : cause.message;
}

/** Whether one of the roots has signed it. */
export function isSignedBy(certificate: X509Certificate | undefined, roots: readonly X509Certificate[]): boolean {
  return certificate !== undefined && roots.some((root) => certificate.verify(root.publicKey));
}
