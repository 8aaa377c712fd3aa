import type { Reply } from '../registry/exchange.ts';

/** Answers for the pages of our own names: what this is, and the certificate that makes clients believe it. */
export function pageReply(page: '/' | '/ca.crt', origin: string, rootCertificates: string): Reply {
  return page === '/ca.crt'
    ? text('application/x-x509-ca-cert', rootCertificates)
    : text('text/plain; charset=utf-8', welcome(origin));
}

function text(contentType: string, content: string): Reply {
  const body = { kind: 'bytes', bytes: Buffer.from(content) } as const;
  return { status: 200, headers: { 'Content-Type': contentType }, body, outcome: { cache: 'none', why: 'page' } };
}

/** Docker speaks plain HTTP to its own machine alone. */
const ELSEWHERE = /^http:\/\/(?!(?:localhost|127\.[\d.]+|\[::1\])(?::|$))/;
const INSECURE = `
Docker wants TLS from every host but localhost: add this one to its "insecure-registries", or use the https port.
`;

function welcome(origin: string): string {
  const host = origin.replace(/^https?:\/\//, '');
  return `This is Layover, a caching gateway for container registries.

To trust it, install its root certificate on the machine that pulls:
  curl -o layover.crt ${origin}/ca.crt

To pull through it without changing anything else, name the registry first:
  docker pull ${host}/docker.io/library/alpine
${ELSEWHERE.test(origin) ? INSECURE : ''}`;
}
