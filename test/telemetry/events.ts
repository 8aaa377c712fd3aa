import type { RequestEvent } from '../../src/events.ts';

/** A finished warm blob request, with what a test wants different. */
export function requestEvent(changes: Partial<RequestEvent> = {}): RequestEvent {
  return {
    id: 'a1',
    client: '192.0.2.7',
    door: 'transparent',
    method: 'GET',
    host: 'registry-1.docker.io',
    path: '/v2/library/nginx/manifests/latest',
    httpVersion: '1.1',
    kind: 'manifest',
    upstream: 'docker.io',
    repository: 'library/nginx',
    reference: 'latest',
    status: 200,
    cache: 'hit',
    why: 'fresh',
    bytes: 1024,
    firstByte: 0.5123,
    total: 1.26,
    upstreamTime: 0,
    userAgent: 'containers/5.8',
    referer: '',
    aborted: false,
    ...changes,
  };
}
