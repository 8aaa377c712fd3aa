import test from 'ava';
import { type RequestEvent, subscribe } from '../../src/events.ts';
import { routeTable } from '../../src/gateway/door.ts';
import { route } from '../../src/gateway/route.ts';
import { ruleAgainst } from '../../src/gateway/rules.ts';
import { DOORS, METHODS, piecesOf, Scene, smallImage } from '../auth/scene.ts';
import { upstreamConfig } from './start.ts';

const DIGEST = `sha256:${'a'.repeat(64)}`;

function judge(rules: { allow?: string[]; deny?: string[] }, target: string, method = 'GET'): string | undefined {
  const upstreams = { 'reg.example': upstreamConfig('reg.example', { deny: [], ...rules }) };
  const table = routeTable(
    { names: [], mirror: {}, hosted: { repositories: [], push: 'none', delete: [] }, upstreams },
    new Set(),
  );
  const asked = { listener: 'https', sni: 'reg.example', hosts: ['reg.example'], method, target } as const;
  return ruleAgainst(table, route(table, asked));
}

test('deny wins over allow, and without allow everything else is served', (t) => {
  const deny = ['library/evil*', '**:*-rc*'];
  for (const [name, verdict] of [
    ['library/evil', 'denied by upstreams.reg.example.deny: "library/evil*"'],
    ['library/evildoer', 'denied by upstreams.reg.example.deny: "library/evil*"'],
    ['library/good', undefined],
    ['evil', undefined],
  ] as const) {
    t.is(judge({ deny }, `/v2/${name}/manifests/1`), verdict, name);
    t.is(judge({ deny, allow: ['**'] }, `/v2/${name}/manifests/1`), verdict, name);
    t.is(
      judge({ deny, allow: ['other/**'] }, `/v2/${name}/manifests/1`),
      verdict ?? 'not in upstreams.reg.example.allow',
    );
  }
  t.is(judge({ deny }, '/v2/a/b/manifests/1-rc2'), 'denied by upstreams.reg.example.deny: "**:*-rc*"');
  t.is(judge({ allow: [] }, '/v2/a/manifests/1'), 'not in upstreams.reg.example.allow');
});

test('a digest, a list and an upload are judged by the repository alone', (t) => {
  const rests = [`manifests/${DIGEST}`, `blobs/${DIGEST}`, 'tags/list', `referrers/${DIGEST}`, 'manifests/sha384:aa'];
  for (const rest of rests) {
    t.is(judge({ deny: ['a/b:*'] }, `/v2/a/b/${rest}`), undefined, rest);
    t.is(judge({ allow: ['a/b:v*'] }, `/v2/a/b/${rest}`), undefined, rest);
    t.is(judge({ allow: ['a/c:v*'] }, `/v2/a/b/${rest}`), 'not in upstreams.reg.example.allow', rest);
    t.truthy(judge({ deny: ['a/b'] }, `/v2/a/b/${rest}`), rest);
  }
  t.truthy(judge({ deny: ['a/b'] }, '/v2/a/b/blobs/uploads/', 'POST'));
  t.truthy(judge({ deny: ['a/b'] }, '/v2/a/b/blobs/uploads/session?x=1', 'PATCH'));
  t.truthy(judge({ allow: ['a/b:v*'] }, '/v2/a/b/manifests/latest', 'PUT'));
  t.is(judge({ allow: ['a/b:v*'] }, '/v2/a/b/manifests/v1', 'PUT'), undefined);
  t.truthy(judge({ deny: ['a/b'] }, `/v2/a/b/manifests/${DIGEST}`, 'DELETE'));
});

test('a path whose repository cannot be told is refused where there are rules, what concerns none is not', (t) => {
  for (const target of ['/v2/a/b/manifests/1/', '/v2/a/b/unheard/of', '/v2/a']) {
    t.regex(judge({ deny: ['a/b'] }, target) ?? '', /upstreams\.reg\.example has rules/, target);
    t.is(judge({}, target), undefined, target);
  }
  for (const target of ['/v2/', '/v2/_catalog?n=5', '/', '/token?scope=repository:a/b:pull', '/v2/_layover/token'])
    t.is(judge({ allow: [] }, target), undefined, target);
});

const [GOOD, EVIL] = ['library/good', 'library/evil'];
const IMAGE = smallImage('rules');

test('what a rule forbids is a 403 that names it on every door, asks nobody and is not looked for in the cache', async (t) => {
  await using scene = await Scene.open();
  const { upstream, registry } = scene;
  const { gateway } = registry;
  upstream.add(GOOD, IMAGE);
  upstream.add(EVIL, IMAGE);
  for (const { rest } of piecesOf(IMAGE)) t.is((await registry.ask('path', 'GET', EVIL, rest)).status, 200, rest);

  const outcome = await gateway.reload('docker.io', { deny: ['library/ev*'] });
  t.deepEqual(outcome?.applied, ['upstreams.docker.io.deny']);
  t.deepEqual(outcome?.pending, []);
  upstream.reset();
  const events: RequestEvent[] = [];
  t.teardown(subscribe('request', (event) => event.repository === EVIL && events.push(event)));
  for (const door of DOORS)
    for (const method of METHODS)
      for (const { what, rest } of piecesOf(IMAGE)) {
        const answer = await registry.ask(door, method, EVIL, rest);
        t.is(answer.status, 403, `${door} ${method} ${what}`);
        t.is(answer.headers['content-type'], 'application/json');
        if (method === 'HEAD') continue;
        const message = 'denied by upstreams.docker.io.deny: "library/ev*"';
        t.deepEqual(JSON.parse(answer.body.toString()), { errors: [{ code: 'DENIED', message }] });
      }
  const push = { method: 'POST', body: 'x' };
  const answer = await gateway.client.request(`${registry.origin}/v2/${EVIL}/blobs/uploads/`, push);
  t.is(answer.status, 403);
  t.deepEqual(upstream.requests, []);
  t.true(events.length > 60);
  t.deepEqual([...new Set(events.map(({ why }) => why))], ['denied-by-rule']);
  for (const door of DOORS) t.is((await registry.ask(door, 'HEAD', GOOD, 'tags/list')).status === 403, false, door);

  await gateway.reload('docker.io', { allow: [`${EVIL}:latest`] });
  t.is((await registry.ask('path', 'GET', EVIL, 'manifests/latest')).status, 200);
  t.is((await registry.ask('path', 'GET', EVIL, 'manifests/other')).status, 403);
  t.is((await registry.ask('path', 'GET', GOOD, 'manifests/latest')).status, 403);
  await gateway.reload('docker.io', {});
  t.is((await registry.ask('path', 'GET', GOOD, 'manifests/latest')).status, 200);
});
