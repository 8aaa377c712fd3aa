import { access } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { TestGateway } from './support/gateway.ts';
import { Homelab } from './support/homelab/homelab.ts';
import { blobsOf, makeImage } from './support/image.ts';
import { markedBlock, readDocument } from './support/markdown.ts';
import { pull } from './support/pull/pull.ts';
import { startUpstream } from './support/upstream/upstream.ts';

const readme = await readDocument('README.md');
/** How the README names the gateway's plain listener. */
const GATEWAY = 'gateway.lan:5000';

test('the quick start ends with an image from disk, and the undo takes everything back', async (t) => {
  const image = makeImage({ layers: [200_000, 50_000] });
  await using hub = await startUpstream({ profile: 'hub' });
  await using ghcr = await startUpstream({ profile: 'ghcr' });
  hub.add('library/alpine', image);
  ghcr.add('acme/app', image);
  await using lab = await Homelab.make({ 'docker.io': hub, 'ghcr.io': ghcr });

  const greeting = await lab.start(markedBlock(readme, 'start'));
  t.true(greeting.includes('SHA-256'));
  const output = await lab.run(markedBlock(readme, 'quickstart'));

  t.deepEqual(output.match(/^Digest: .*$/gm), Array(2).fill(`Digest: ${image.digest}`));
  t.is(hub.count({ kind: 'blob', role: 'cdn', method: 'GET' }), blobsOf(image, 'linux/amd64').length);
  t.regex(output, /"kind":"blob","status":200,"cache":"miss","why":"first-time"/);
  t.regex(output, /"kind":"blob","status":200,"cache":"hit","why":"stored"/);
  t.is(await lab.read('/etc/docker/certs.d/ghcr.io/layover.crt'), await lab.read('certs/ca.crt'));
  t.true((await lab.run('docker pull ghcr.io/acme/app')).includes(image.digest), 'by its own name');

  const byPath = /`(docker pull localhost:5000\/ghcr\.io\/acme\/app)`/.exec(readme)?.[1] ?? 'false';
  t.true((await lab.run(byPath)).includes(image.digest));

  await lab.run(markedBlock(readme, 'undo'));
  t.is(await lab.read('/etc/hosts'), '127.0.0.1 localhost\n');
  await t.throwsAsync(access(join(lab.dir, 'root/etc/docker')), { code: 'ENOENT' });
  await lab.stop();
  for (const path of ['data/cache', 'certs/ca.key', 'logs/access.log']) await access(join(lab.dir, 'clone', path));
});

test('the mirror settings lead docker, containerd and podman to the doors that answer them', async (t) => {
  const image = makeImage({ layers: [1000] });
  await using hub = await startUpstream({ profile: 'hub' });
  await using ghcr = await startUpstream({ profile: 'ghcr' });
  hub.add('library/alpine', image);
  ghcr.add('acme/app', image);
  await using gateway = await TestGateway.start({ upstreams: [hub, ghcr] });
  const { client } = gateway;
  const here = (url: string) => {
    t.true(url.startsWith(`http://${GATEWAY}`), url);
    return url.replace(`http://${GATEWAY}`, gateway.own);
  };

  const docker = JSON.parse(markedBlock(readme, 'docker')) as { 'registry-mirrors': string[] };
  const [mirror = ''] = docker['registry-mirrors'];
  const dockerd = { client, registry: here(mirror), repository: 'library/alpine', reference: 'latest' };
  t.is((await pull('dockerd', dockerd)).digest, image.digest);

  const hosts = markedBlock(readme, 'containerd');
  const ns = /^server = "https:\/\/(.*)"$/m.exec(hosts)?.[1] ?? '';
  const host = /^\[host\."(.*)"\]$/m.exec(hosts)?.[1] ?? '';
  const containerd = { client, registry: here(host), repository: 'acme/app', reference: 'latest', ns };
  t.is((await pull('containerd', containerd)).digest, image.digest);

  const locations = [...markedBlock(readme, 'podman').matchAll(/^location = "(.*)"$/gm)];
  const [prefix = '', location = ''] = locations.map(([, found = '']) => found);
  const [registry, ...path] = location.split('/');
  t.is(prefix, path.join('/'));
  const podman = {
    client,
    registry: here(`http://${registry}`),
    repository: `${prefix}/library/alpine`,
    reference: 'latest',
  };
  t.is((await pull('containers-image', podman)).digest, image.digest);
});
