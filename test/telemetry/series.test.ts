import { randomUUID } from 'node:crypto';
import test from 'ava';
import { inParallel } from '../auth/scene.ts';
import { TestGateway } from '../support/gateway.ts';

/** What a client can ask for by a name of its own making. */
const FORMS: readonly ((name: string) => { readonly path: string; readonly headers?: Record<string, string> })[] = [
  (name) => ({ path: `/v2/${name}/app/manifests/${name}` }),
  (name) => ({ path: `/v2/app/tags/list?ns=${name}` }),
  (name) => ({ path: `/${name}/v2/app/manifests/1` }),
  (name) => ({ path: `/${name}`, headers: { host: `${name}.test`, 'user-agent': name } }),
];

test('a thousand random names that clients ask for add no series to what a gateway shows', async (t) => {
  await using gateway = await TestGateway.start({ upstreams: [], config: { mirror: { default: null } } });
  const ask = async (names: number): Promise<void> => {
    await inParallel(Array.from({ length: names }, randomUUID), async (name) => {
      for (const form of FORMS) {
        const { path, headers = {} } = form(name);
        t.is((await gateway.client.request(`${gateway.own}${path}`, { headers })).status, 404, path);
      }
    });
  };
  const series = async (): Promise<string[]> => {
    const text = (await gateway.client.request(`${gateway.admin}/metrics`)).body.toString();
    return text
      .split('\n')
      .filter((line) => line.startsWith('layover_'))
      .map((line) => line.slice(0, line.lastIndexOf(' ')))
      .sort();
  };
  await ask(1);
  const before = await series();
  t.true(before.some((line) => line.startsWith('layover_requests_total')));
  await ask(250);
  t.deepEqual(await series(), before);
});
