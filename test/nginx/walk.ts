import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parse } from 'yaml';
import { run } from '../clients/process.ts';
import { TestGateway } from '../support/gateway.ts';
import { makeImage } from '../support/image.ts';
import { markedBlock, readDocument } from '../support/markdown.ts';
import { startUpstream } from '../support/upstream/upstream.ts';
import { pullOverHttp2 } from './http2.ts';
import { furnish, makeClone, PATH, until, useDebianConfig } from './inside.ts';
import { checkVariants } from './variants.ts';

/** Walks from a gateway to pulls through nginx in front of it, inside a namespace, and prints what came of each step. */
const [dir = ''] = process.argv.slice(2);
const page = await readDocument('nginx-compat/README.md');
const users = { somebody: 'secret' };
await using hub = await startUpstream({ users });
await using ghcr = await startUpstream({ profile: 'ghcr' });
hub.add('library/app', makeImage({ seed: 'app', layers: [300_000, 20_000] }));
hub.add('library/alpine', makeImage({ seed: 'alpine', layers: [1_000] }));
ghcr.add('acme/tool', makeImage({ seed: 'tool', layers: [200_000] }));
await using gateway = await TestGateway.start({
  upstreams: [hub, ghcr],
  config: {
    ...parse(markedBlock(page, 'gateway')),
    names: ['gateway.lan'],
    log: { level: 'error', access: { file: join(dir, 'access.log'), format: 'nginx' } },
  },
  settings: { 'docker.io': { alias: 'docker-images' }, 'ghcr.io': { alias: 'ghcr-images' } },
});
const roots = await gateway.rootCertificate();
const names = ['docker.io', 'index.docker.io', 'registry-1.docker.io', 'auth.docker.io', 'ghcr.io', 'gateway.lan'];
await furnish(dir, Object.fromEntries(names.map((name) => [name, '127.0.0.1'])), roots);

const said: Record<string, unknown> = {};
const clone = await makeClone(dir, gateway);
await useDebianConfig(dir);
const shell = async (script: string): Promise<string> =>
  (await run(['sh', '-euc', `cd '${clone}'\n${script}`], { env: { PATH, TMPDIR: dir } })).toString();
const curl = async (...args: readonly string[]): Promise<string> => (await run(['curl', '-sS', ...args])).toString();
await run(['nginx']);
await writeFile('/etc/nginx/conf.d/plain.conf', markedBlock(page, 'plain'));
said.front = await shell(`{ ${markedBlock(page, 'front')}} 2>&1`);
await until(() => curl('https://gateway.lan/v2/'));
said.variants = await checkVariants(dir, '/etc/nginx/layover.pem');
said.pull = await shell(markedBlock(page, 'pull'));

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
said.renewal = await shell(markedBlock(page, 'renewal'));
await gateway.down();
said.gatewayLog = await readFile(join(dir, 'access.log'), 'utf8');
said.nginxLog = await readFile('/var/log/nginx/layover.log', 'utf8');
said.errors = await readFile('/var/log/nginx/error.log', 'utf8');
console.log(JSON.stringify(said));
