import test from 'ava';
import type { Config } from '../../src/config/config.ts';
import { routeTable } from '../../src/gateway/door.ts';
import { route } from '../../src/gateway/route.ts';
import { RegistryError } from '../../src/oci/error.ts';
import { upstreamConfig } from './start.ts';

const DIGEST = `sha256:${'a'.repeat(64)}`;
const SESSION = '123e4567-e89b-12d3-a456-426614174000';

/** Names by whose they are: a push may reach the hosted ones alone. */
const NAMES = {
  hosted: ['team/app', 'team/a/b/c', 'myapp'],
  ours: ['other', 'other/app', 'teams/app', 'myapp/sub', 'team-x'],
  cached: ['docker.io/library/a', 'docker.io/team/app', 'ghcr.io/acme/app', 'docker.io/myapp'],
} as const;
const ENDPOINTS = [
  'blobs/uploads/',
  `blobs/uploads/?mount=${DIGEST}&from=team/app`,
  `blobs/uploads/${SESSION}`,
  `blobs/uploads/${SESSION}?digest=${DIGEST}`,
  'manifests/latest',
  `manifests/${DIGEST}`,
  `manifests/${DIGEST}?tag=a`,
  `blobs/${DIGEST}`,
  'tags/list',
  `referrers/${DIGEST}`,
];
const WRITES = ['POST', 'PUT', 'PATCH', 'DELETE', 'MKCOL', 'put'];
const READS = ['GET', 'HEAD'];

function outcome(
  push: Config['hosted']['push'],
  method: string,
  target: string,
  name: 'gateway.lan' | 'docker.io',
): string {
  const upstreams = { 'docker.io': upstreamConfig('docker.io'), 'ghcr.io': upstreamConfig('ghcr.io') };
  const hosted = { repositories: ['team/**', 'myapp'], push, delete: ['**'] };
  const table = routeTable({ names: ['gateway.lan'], mirror: { default: 'docker.io' }, hosted, upstreams }, new Set());
  const listener = name === 'gateway.lan' ? 'http' : 'https';
  try {
    const to = route(table, { listener, sni: name, hosts: [name], method, target });
    if (to.kind !== 'registry') return to.kind;
    return 'repository' in to.route ? to.route.repository.root : to.route.kind;
  } catch (error) {
    return error instanceof RegistryError ? error.code : String(error);
  }
}

test('whatever is written reaches hosted repositories alone, and those only where pushes are open', (t) => {
  let cells = 0;
  for (const push of ['none', 'anyone'] as const)
    for (const [whose, names] of Object.entries(NAMES))
      for (const name of names)
        for (const endpoint of ENDPOINTS)
          for (const method of [...WRITES, ...READS]) {
            const isWrite = WRITES.includes(method) || endpoint.startsWith('blobs/uploads/');
            const read = whose === 'hosted' ? 'hosted' : 'cache';
            const expected = isWrite ? (whose === 'hosted' && push === 'anyone' ? 'hosted' : 'DENIED') : read;
            const target = `/v2/${name}/${endpoint}`;
            t.is(outcome(push, method, target, 'gateway.lan'), expected, `${push} ${method} ${target}`);
            cells += 1;
          }
  t.true(cells >= 1900, `${cells} cells`);
});

test('neither another name for a repository nor a mirror’s namespace leads a push anywhere', (t) => {
  for (const method of WRITES)
    for (const endpoint of ENDPOINTS) {
      const separator = endpoint.includes('?') ? '&' : '?';
      const target = `/v2/team/app/${endpoint}${separator}ns=docker.io`;
      t.is(outcome('anyone', method, target, 'gateway.lan'), 'DENIED', `${method} ${target}`);
      const below = `/docker.io/v2/team/app/${endpoint}`;
      t.is(outcome('anyone', method, below, 'gateway.lan'), 'DENIED', `${method} ${below}`);
      for (const name of ['Team/app', 'team//app', 'team/../myapp', 'team%2fapp', 'team/app/', './myapp']) {
        const spelled = outcome('anyone', method, `/v2/${name}/${endpoint}`, 'gateway.lan');
        t.true(
          ['NAME_INVALID', 'BAD_REQUEST', 'UNSUPPORTED'].includes(spelled),
          `${method} ${name} ${endpoint}: ${spelled}`,
        );
      }
    }
});

test('on a registry’s own host a push goes to that registry, whatever is hosted here', (t) => {
  for (const method of ['POST', 'PUT', 'PATCH', 'DELETE'])
    for (const endpoint of ENDPOINTS)
      t.is(outcome('anyone', method, `/v2/team/app/${endpoint}`, 'docker.io'), 'pass', `${method} ${endpoint}`);
});
