import type { Instructions } from './setup-section.ts';

/** Docker speaks plain HTTP to its own machine alone. */
const ELSEWHERE = /^http:\/\/(?!(?:localhost|127\.[\d.]+|\[::1\])(?::|$))/;
export const INSECURE =
  'Docker wants TLS from every host but localhost: add this one to its "insecure-registries", or use the https port.';

/** Whether docker refuses to pull by the name that `origin` (`http[s]://host[:port]`) has. */
export function isInsecure(origin: string): boolean {
  return ELSEWHERE.test(origin);
}

/** How to pull with nothing set up. */
export function firstSteps(origin: string): Instructions {
  const host = origin.replace(/^https?:\/\//, '');
  return {
    client: 'any',
    title: 'Try it, with nothing set up',
    steps: [
      { text: 'Name the registry first.', command: `docker pull ${host}/docker.io/library/alpine` },
      ...(isInsecure(origin) ? [{ text: INSECURE }] : []),
    ],
  };
}
