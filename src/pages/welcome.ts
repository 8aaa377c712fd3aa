/** Docker speaks plain HTTP to its own machine alone. */
const ELSEWHERE = /^http:\/\/(?!(?:localhost|127\.[\d.]+|\[::1\])(?::|$))/;
const INSECURE = `
Docker wants TLS from every host but localhost: add this one to its "insecure-registries", or use the https port.
`;

/** What this is and how to begin, for who asks our own name without a browser; `origin`: `http[s]://host[:port]`. */
export function welcome(origin: string): string {
  const host = origin.replace(/^https?:\/\//, '');
  return `This is Layover, a caching gateway for container registries.

To trust it, install its root certificate on the machine that pulls:
  curl -o layover.crt ${origin}/ca.crt

To pull through it without changing anything else, name the registry first:
  docker pull ${host}/docker.io/library/alpine
${ELSEWHERE.test(origin) ? INSECURE : ''}`;
}
