import test from 'ava';
import { TestGateway } from '../support/gateway.ts';
import { makeImage } from '../support/image.ts';
import { startUpstream } from '../support/upstream/upstream.ts';

test('a second reader of an index is proven although the registry denies an index to who does not list it', async (t) => {
  await using upstream = await startUpstream({ profile: 'ghcr', users: { ada: 'a', bob: 'b' } });
  const image = makeImage();
  upstream.add('acme/app', image, { access: ['ada', 'bob'] });
  await using gateway = await TestGateway.start({ upstreams: [upstream] });
  const ask = async (user: string): Promise<number> => {
    const basic = `Basic ${Buffer.from(user).toString('base64')}`;
    const tokens = 'https://ghcr.io/v2/_layover/token?service=ghcr.io&scope=repository:acme/app:pull';
    const { body } = await gateway.client.request(tokens, { headers: { authorization: basic } });
    const { token } = JSON.parse(body.toString()) as { token: string };
    const url = `https://ghcr.io/v2/acme/app/manifests/${image.digest}`;
    return (await gateway.client.request(url, { headers: { authorization: `Bearer ${token}` } })).status;
  };
  t.is(await ask('ada:a'), 200);
  t.is(await ask('bob:b'), 200);
});
