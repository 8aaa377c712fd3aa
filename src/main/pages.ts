import type { PageMaker, Pages } from '../gateway/pages.ts';
import { welcome } from '../pages/welcome.ts';
import type { Identity } from '../tls/identity.ts';

/** The pages of our own names. */
export function openPages(identity: Pick<Identity, 'rootCertificates'>): Pages {
  return new Map<string, PageMaker>([
    ['/', ({ origin }) => ({ contentType: 'text/plain; charset=utf-8', body: welcome(origin) })],
    ['/ca.crt', () => ({ contentType: 'application/x-x509-ca-cert', body: identity.rootCertificates })],
  ]);
}
