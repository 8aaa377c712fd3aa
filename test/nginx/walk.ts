import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from '../clients/process.ts';
import { TestGateway } from '../support/gateway.ts';
import { makeImage } from '../support/image.ts';
import { startUpstream } from '../support/upstream/upstream.ts';
import { pullOverHttp2 } from './http2.ts';
import { checkNginx, furnish, layover, startNginx, writeMainConfig } from './inside.ts';
import { checkVariants } from './variants.ts';

/** Walks from a gateway to pulls through nginx in front of it, inside a namespace, and prints what came of each step. */
const [dir = ''] = process.argv.slice(2);
const prefix = join(dir, 'nginx');
const users = { somebody: 'secret' };
await using hub = await startUpstream({ users });
await using ghcr = await startUpstream({ profile: 'ghcr' });
hub.add('library/app', makeImage({ seed: 'app', layers: [300_000, 20_000] }));
ghcr.add('acme/tool', makeImage({ seed: 'tool', layers: [200_000] }));
await using gateway = await TestGateway.start({
  upstreams: [hub, ghcr],
  config: {
    listen: { https: '127.0.0.1:8443', http: '127.0.0.1:5000', admin: '127.0.0.1:0', proxies: ['127.0.0.1'] },
    names: ['gateway.lan'],
    log: { level: 'error', access: { file: join(dir, 'access.log'), format: 'nginx' } },
  },
  settings: { 'docker.io': { alias: 'docker-images' }, 'ghcr.io': { alias: 'ghcr-images' } },
});
const roots = await gateway.rootCertificate();
const names = ['docker.io', 'index.docker.io', 'registry-1.docker.io', 'auth.docker.io', 'ghcr.io', 'gateway.lan'];
await furnish(dir, Object.fromEntries(names.map((name) => [name, '127.0.0.1'])), roots);

const said: Record<string, unknown> = {};
await writeMainConfig(prefix, '  include conf.d/*.conf;');
const plain = 'server { listen 80; server_name docker.io; include snippets/layover-proxy.conf; }';
await mkdir(join(prefix, 'conf.d'));
await writeFile(join(prefix, 'conf.d/plain.conf'), plain);
said.rendered = (await layover(gateway, 'nginx-compat', 'render', '--out', prefix))
  .toString()
  .trim()
  .split('\n').length;
said.certificate = (
  await layover(gateway, 'nginx-compat', 'certificate', '--out', join(prefix, 'layover.pem'))
).toString();
said.variants = await checkVariants(dir, join(prefix, 'layover.pem'));
said.check = await checkNginx(prefix);
const curl = async (...args: readonly string[]): Promise<string> => (await run(['curl', '-sS', ...args])).toString();
await using _nginx = await startNginx(prefix, () => curl('https://gateway.lan/v2/'));

const store = ['--root', join(dir, 'store'), '--runroot', join(dir, 'run'), '--storage-driver', 'vfs'];
await run(['skopeo', 'copy', '-q', 'docker://docker.io/library/app:latest', `dir:${join(dir, 'app')}`]);
await run(['podman', ...store, 'pull', '-q', 'ghcr.io/acme/tool:latest']);
said.blobsOverHttp2 = await pullOverHttp2('registry-1.docker.io', roots, 'library/app');
const format = ['-o', '/dev/null', '-w', '%{http_code} %{http_version} %header{www-authenticate}'];
said.curl = await curl('--http2', ...format, 'https://ghcr.io/v2/');
said.curlBefore = await curl('--http1.1', ...format, 'https://docker.io/v2/');
said.plain = await curl(...format, 'http://docker.io/v2/');
said.path = await curl('--http2', '-I', 'https://gateway.lan/v2/docker.io/library/app/manifests/latest');
said.page = await curl('https://gateway.lan/');
await run([
  'skopeo',
  'copy',
  '-q',
  '--dest-creds',
  'somebody:secret',
  `dir:${join(dir, 'app')}`,
  'docker://docker.io/somebody/pushed:1',
]);
said.pushed = hub.count({ kind: 'manifest', status: 201 });

await curl('--interface', '127.0.0.5', '-H', 'X-Forwarded-For: 6.6.6.6', '-A', 'elsewhere', 'https://ghcr.io/v2/');
const forged = ['-H', 'Host: docker.io', '-H', 'X-Forwarded-Proto: https', '-H', 'X-Forwarded-For: 6.6.6.6'];
said.past = await curl('--interface', '127.0.0.5', ...format, '-A', 'past', ...forged, 'http://127.0.0.1:5000/v2/');

await hub.down();
await mkdir(join(dir, 'again'));
await run(['skopeo', 'copy', '-q', 'docker://docker.io/library/app:latest', `dir:${join(dir, 'again')}`]);
said.renewal = (await layover(gateway, 'nginx-compat', 'certificate', '--out', join(prefix, 'layover.pem'))).toString();
await gateway.down();
said.gatewayLog = await readFile(join(dir, 'access.log'), 'utf8');
said.nginxLog = await readFile('/var/log/nginx/layover.log', 'utf8');
said.errors = await readFile(join(prefix, 'error.log'), 'utf8');
console.log(JSON.stringify(said));
