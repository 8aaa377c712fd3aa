import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { openRoot } from '../../src/tls/root.ts';
import { TestGateway } from '../support/gateway.ts';
import { createAuthority } from '../support/pki.ts';
import { shownNames, temporaryDirectory } from './fixture.ts';

test('a gateway shows a brought certificate and tells what is to be done about its certificates', async (t) => {
  const dir = await temporaryDirectory(t);
  const certs = join(dir, 'certs');
  const { certificatePem: ca } = await openRoot({
    dir: certs,
    permittedDns: ['localhost', 'docker.io'],
    permittedIps: [],
  });
  const authority = createAuthority();
  const own = authority.issue(['*.company.example']);
  const [chain, key] = [join(dir, 'chain.pem'), join(dir, 'key.pem')];
  await writeFile(chain, own.cert);
  await writeFile(key, own.key);
  const config = { names: ['gateway.company.example'], certs: { dir: certs, chain, key } };
  await using gateway = await TestGateway.start({ upstreams: [], config });
  const port = gateway.tlsPort;
  t.is(await shownNames({ port, servername: 'gateway.company.example', ca: authority.ca }), 'DNS:*.company.example');
  t.is(await shownNames({ port, servername: 'registry-1.docker.io', ca }), 'DNS:registry-1.docker.io');
  await t.throwsAsync(shownNames({ port, servername: 'ghcr.io', ca }), { code: 'ERR_SSL_TLSV1_UNRECOGNIZED_NAME' });

  const ready = await fetch(`${gateway.admin}/readyz`);
  t.is(ready.status, 200);
  const [first, ...warnings] = (await ready.text()).trimEnd().split('\n');
  t.is(first, 'ok');
  t.true(warnings.every((line) => line.startsWith('warning: ')));
  t.true(warnings.some((line) => line.includes('no certificate covers ghcr.io, ')));
  t.false(warnings.some((line) => /covers (?:gateway\.company\.example|registry-1\.docker\.io)/.test(line)));
  t.true(warnings.some((line) => line.includes('the certificate of certs.chain ends on ')));

  const metrics = await (await fetch(`${gateway.admin}/metrics`)).text();
  t.is(Number(/^layover_hosts_uncovered (\d+)$/m.exec(metrics)?.[1]), warnings.length - 1);
  t.regex(metrics, /^layover_certificate_end_timestamp_seconds\{certificate="own"\} \d+$/m);
});
