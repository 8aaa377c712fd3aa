import { bytesText, countText, shareText } from '../html/figures.ts';
import { INSECURE, isInsecure } from './first-steps.ts';
import type { Status } from './status.ts';
import { fetchesText, stateText } from './status-section.ts';

/** What this is and how to begin, for who asks our own name without a browser; `origin`: `http[s]://host[:port]`. */
export function welcome(origin: string): string {
  const host = origin.replace(/^https?:\/\//, '');
  return `This is Layover, a caching gateway for container registries.

To trust it, install its root certificate on the machine that pulls:
  curl -o layover.crt ${origin}/ca.crt

To pull through it without changing anything else, name the registry first:
  docker pull ${host}/docker.io/library/alpine
${isInsecure(origin) ? `\n${INSECURE}\n` : ''}`;
}

/** How the gateway stands, in a few lines. */
export function statusText(status: Status): string {
  const { requests, hits, saved, sent } = status.answers;
  const ratio = shareText(requests === 0 ? undefined : hits / requests);
  return `${stateText(status)}
  hit ratio ${ratio} of ${countText(requests)} answers; ${bytesText(saved)} of ${bytesText(sent)} saved
  ${fetchesText(status.fetches)}
More in a browser, and for programs at /status.json.
`;
}
