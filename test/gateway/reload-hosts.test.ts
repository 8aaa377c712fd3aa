import test from 'ava';
import { smallImage } from '../auth/scene.ts';
import { TestGateway } from '../support/gateway.ts';
import { startUpstream } from '../support/upstream/upstream.ts';

const IMAGE = smallImage('hosts');

test('a host that is added is served without a restart where the root covers it, and one that is taken away no more', async (t) => {
  await using upstream = await startUpstream({ profile: 'mcr', tls: false });
  upstream.add('app', IMAGE);
  const late = ['late.mcr.microsoft.com', 'late.example'];
  await using gateway = await TestGateway.start({ upstreams: [upstream], hosts: late });
  const ask = async (host: string): Promise<number | undefined> => {
    const url = `https://${host}/v2/app/manifests/latest`;
    return gateway.client.request(url, { headers: { connection: 'close' } }).then(
      ({ status }) => status,
      () => undefined,
    );
  };
  const [covered = '', uncovered = ''] = late;
  t.deepEqual([await ask('mcr.microsoft.com'), await ask(covered)], [200, undefined]);
  const outcome = await gateway.reload('mcr.microsoft.com', { hosts: late });
  t.deepEqual([outcome?.applied, outcome?.pending], [['upstreams.mcr.microsoft.com.hosts'], []]);
  t.deepEqual([await ask(covered), await ask(uncovered)], [200, undefined]);
  // The client resumes its TLS session, for which no certificate is looked up.
  t.is(await ask('mcr.microsoft.com'), 421);
  const ready = await fetch(`${gateway.admin}/readyz`);
  t.is(ready.status, 200);
  t.regex(await ready.text(), /no certificate covers late\.example/);
});
