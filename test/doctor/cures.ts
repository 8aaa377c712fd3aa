import { X509Certificate } from 'node:crypto';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execute } from '../faults/namespace.ts';
import { ELSEWHERE, HERE, MAIN, Scene } from './scene.ts';

/** Lets everything be written, and the machine stay as it is. */
async function overlay(scene: Scene): Promise<void> {
  const upper = join(scene.dir, 'upper');
  await mkdir(upper);
  await execute('mount', ['-t', 'tmpfs', 'tmpfs', upper]);
  for (const [index, path] of ['/etc', '/usr/local/share', '/var/lib'].entries()) {
    const [over, work] = [join(upper, `over-${index}`), join(upper, `work-${index}`)];
    for (const made of [over, work]) await mkdir(made);
    const options = `lowerdir=${path},upperdir=${over},workdir=${work}`;
    await execute('mount', ['-t', 'overlay', '-o', options, 'overlay', path]);
  }
  // Nor is any daemon of the machine told to restart.
  await execute('mount', ['-t', 'tmpfs', 'tmpfs', '/run']);
  const files = {
    hosts: '127.0.0.1 localhost\n',
    'resolv.conf': 'nameserver 127.0.0.1\n',
    'nsswitch.conf': 'hosts: files dns\n',
  };
  for (const [file, content] of Object.entries(files)) {
    await rm(join('/etc', file), { force: true });
    await writeFile(join('/etc', file), content);
  }
}

await using scene = await Scene.enter(process.argv[2] ?? '');
await overlay(scene);
const gateway = await scene.gateway();
const client = ['--gateway', 'gateway.lan'];
const { fingerprint256 } = new X509Certificate(await gateway.rootCertificate());
scene.words = { 'ghcr.io': ['127.0.0.1', '2001:db8::1'] };
scene.rest = HERE;
await scene.ask('before the first cure', client);
await scene.type('before the first cure', fingerprint256);
await scene.ask('after the first cure', client);
await execute(process.execPath, [MAIN, 'setup', 'system', '--undo', '--apply'], { cwd: scene.dir });
scene.words = { 'gateway.lan': HERE };
scene.rest = ELSEWHERE;
await scene.ask('before the second cure', client);
await scene.type('before the second cure', fingerprint256);
await scene.ask('after the second cure', client);
process.stdout.write(JSON.stringify(scene.outcomes));
