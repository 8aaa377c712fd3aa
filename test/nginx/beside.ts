import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { TestGateway } from '../support/gateway.ts';
import { makeImage } from '../support/image.ts';
import { startUpstream } from '../support/upstream/upstream.ts';
import { Construction, EDGE } from './construction.ts';
import { furnish, layover, reach, startNginx, writeMainConfig } from './inside.ts';
import { requestsFor, Side } from './requests.ts';

/** Asks the construction and the gateway behind nginx the same, in front of the same registries, and prints both answers. */
const [dir = ''] = process.argv.slice(2);
const prefix = join(dir, 'front');
const users = { somebody: 'secret' };
await using hub = await startUpstream({ users });
await using ghcr = await startUpstream({ profile: 'ghcr', users });
const app = makeImage({ seed: 'app', layers: [300_000, 20_000] });
const tool = makeImage({ seed: 'tool', layers: [100_000] });
const secret = makeImage({ seed: 'secret', layers: [50_000], platforms: ['linux/amd64'] });
const old = makeImage({ seed: 'old', layers: [5_000], platforms: ['linux/amd64'], format: 'docker' });
hub.add('library/app', app, { tags: ['latest', '1'] });
hub.add('library/old', old);
ghcr.add('library/tool', tool);
hub.add('somebody/secret', secret, { access: ['somebody'] });
await using gateway = await TestGateway.start({
  upstreams: [hub, ghcr],
  config: {
    listen: { https: '127.0.0.1:8443', http: '127.0.0.1:5000', admin: '127.0.0.1:0', proxies: ['127.0.0.1'] },
    log: { level: 'error', access: { file: join(dir, 'access.log'), format: 'nginx' } },
  },
  settings: { 'docker.io': { alias: 'docker-images' }, 'ghcr.io': { alias: 'ghcr-images' } },
});
const roots = await gateway.rootCertificate();
await furnish(dir, {}, roots);
await writeMainConfig(prefix, '  include conf.d/*.conf;');
await layover(gateway, 'nginx-compat', 'render', '--out', prefix);
await layover(gateway, 'nginx-compat', 'certificate', '--out', join(prefix, 'layover.pem'));
const front = { address: '127.0.0.1', port: 443 };
await using _front = await startNginx(prefix, () => reach(front));
const names = ['registry-1.docker.io', 'ghcr.io'];
const mirrored = { 'docker-images': hub, 'ghcr-images': ghcr };
await using construction = await Construction.start(join(dir, 'construction'), mirrored, users, names);
using before = new Side(construction.ca, EDGE);
using after = new Side(roots, front);
for (const asked of requestsFor({ app, tool, secret })) {
  console.log(JSON.stringify({ title: asked.title, before: await before.ask(asked), after: await after.ask(asked) }));
}
await gateway.down();
console.log(
  JSON.stringify({ logs: [await readFile(construction.log, 'utf8'), await readFile(join(dir, 'access.log'), 'utf8')] }),
);
