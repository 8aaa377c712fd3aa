import test from 'ava';
import { loadConfig } from '../../src/config/load.ts';
import { shareOf } from '../../src/main/upstreams.ts';

async function share(processes: number, limit: string): Promise<ReturnType<typeof shareOf>> {
  const text = `processes: ${processes}\nupstreams: { docker.io: { limit: ${limit} } }`;
  return shareOf(await loadConfig({ env: {}, cwd: '/', text }), 'docker.io');
}

test('several processes together stay below the limits of an upstream, and one alone has all of them', async (t) => {
  const limit = '{ requests: 90/6h, bandwidth: 800k }';
  t.deepEqual(await share(1, limit), { requests: { count: 90, span: 6 * 3_600_000 }, bandwidth: 800 << 10 });
  t.deepEqual(await share(4, limit), { requests: { count: 22, span: 6 * 3_600_000 }, bandwidth: 200 << 10 });
  t.deepEqual(await share(4, '{ requests: 2/1h }'), { requests: { count: 1, span: 3_600_000 } });
  t.deepEqual(await share(4, 'null'), {});
});
