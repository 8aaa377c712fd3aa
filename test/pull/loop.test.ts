import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { stringify } from 'yaml';
import { TestGateway } from '../support/gateway.ts';

test('a name that leads back to the gateway is refused with an explanation, and the gateway lives on', async (t) => {
  await using gateway = await TestGateway.start({ upstreams: [] });
  const port = gateway.tlsPort;
  const config = {
    listen: { https: `127.0.0.1:${port}`, http: '127.0.0.1:0', admin: '127.0.0.1:0' },
    certs: { dir: join(gateway.dir, 'certs') },
    storage: { root: join(gateway.dir, 'data') },
    log: { level: 'error', access: { file: join(gateway.dir, 'access.log') } },
    dns: { pins: { 'registry-1.docker.io': '127.0.0.1' } },
    upstreams: { 'docker.io': { urls: [`https://registry-1.docker.io:${port}`] } },
  };
  await writeFile(join(gateway.dir, 'gateway.yaml'), stringify(config));
  await gateway.restart();
  for (const path of ['v2/', 'v2/library/nginx/manifests/latest', 'v2/']) {
    const answer = await gateway.client.request(`https://registry-1.docker.io/${path}`);
    t.is(answer.status, 508, path);
    t.regex(answer.body.toString(), /resolves to this gateway itself.*dns\.servers/);
  }
});
