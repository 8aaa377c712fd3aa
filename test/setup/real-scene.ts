import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { mkdirSync, realpathSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { docker } from '../clients/clients/docker.ts';
import { Gateway, gatewayAddress, gatewayName } from '../clients/gateway.ts';
import { verify } from '../clients/images.ts';
import { Machine } from '../clients/machine.ts';
import { run } from '../clients/process.ts';
import { openStore, pullApp, referenceOf, sparing } from '../clients/pulls.ts';
import type { Row } from '../clients/steps.ts';
import { REGISTRIES, SCENES, type Scene } from './real-scenes.ts';

const ROOT = '/mnt/root';
const PATIENCE = 30_000;
const HOOKS = '/etc/ca-certificates/update.d';
/** The signal is only the beginning of it. */
const RELOADED = 'grep -q "Reloaded configuration" /mnt/row/docker-*/dockerd.log';
const REPOSITORY = resolve(import.meta.dirname, '../..');

await play(SCENES.get(process.argv[2] ?? ''));
process.exit(); // whatever still runs ends with the namespace

async function play(scene: Scene | undefined): Promise<void> {
  if (scene === undefined) throw new Error(`one of ${[...SCENES.keys()].join(' | ')}`);
  await run(['ip', 'link', 'set', 'lo', 'up']);
  await run(['ip', 'address', 'add', `${gatewayAddress}/32`, 'dev', 'lo']);
  const machine = await Machine.mount('/');
  // An overlay does not show what is mounted below its root.
  for (const path of [REPOSITORY, realpathSync(join(REPOSITORY, 'node_modules')), dirname(process.execPath)]) {
    mkdirSync(ROOT + path, { recursive: true });
    execFileSync('mount', ['--bind', path, ROOT + path]);
  }
  await using upstream = await REGISTRIES[scene.registry]();
  const isMirror = scene.door.kind === 'mirror';
  const own = [
    ['localhost', '127.0.0.1'],
    [gatewayName, gatewayAddress],
  ] as const;
  await machine.resolve(new Map([...own, ...(isMirror ? upstream.hosts : [])]));
  await prepareTrust(machine, isMirror ? upstream.ca : undefined);
  await using gateway = await Gateway.start(join(REPOSITORY, 'bin/layover.js'), upstream);
  const { fingerprint256 } = new X509Certificate(await gateway.certificate());
  const row: Row = { client: scene.client, door: scene.door, machine, upstream, gateway };
  await using running = await openStore(row, upstream.app);
  // Only daemons have one; ours lie elsewhere, for several of them share a machine in other tests.
  await machine.run(['sh', '-c', 'cat /mnt/row/docker-*/pid >/run/docker.pid 2>/dev/null || rm /run/docker.pid']);
  await machine.run(['cp', '-a', '/etc', '/tmp/etc']);

  await setUp(machine, scene, ['--fingerprint', fingerprint256, '--apply']);
  if (scene.client === docker) await patiently(() => machine.run(['sh', '-c', RELOADED]));
  const pulled = await patiently(() => running.pull(referenceOf(row, upstream.app), 'amd64'));
  verify(pulled, upstream.app.image, 'amd64');
  await sparing(row, () => pullApp(row, 'amd64'));
  if (isMirror) {
    await gateway.kill();
    await pullApp(row, 'arm64');
  }
  await setUp(machine, scene, ['--undo', '--apply']);
  await isWithoutTrace(machine);
}

/** A daemon that runs keeps what it has read of the hosts file for five seconds. */
async function patiently<Result>(attempt: () => Promise<Result>): Promise<Result> {
  const deadline = performance.now() + PATIENCE;
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      if (performance.now() > deadline) throw error;
      await sleep(500);
    }
  }
}

/** A system as its administrator leaves it, with a program that is told of roots as Java's store is on Debian, but quicker. */
async function prepareTrust(machine: Machine, registry: string | undefined): Promise<void> {
  await machine.run(['sh', '-c', `rm -rf ${HOOKS} && mkdir ${HOOKS}`]);
  await machine.write({
    [`${HOOKS}/told`]: '#!/bin/sh\ncat >>/tmp/told\n',
    ...(registry !== undefined && { '/usr/local/share/ca-certificates/registry.crt': registry }),
  });
  await machine.run(['chmod', '755', `${HOOKS}/told`]);
  await machine.run(['update-ca-certificates', '--fresh'], { timeout: 180_000 });
}

/** Not in `/etc`, not where roots and journals lie, and not in what others were told of roots. */
async function isWithoutTrace(machine: Machine): Promise<void> {
  const left = await machine.lines([
    'sh',
    '-c',
    `diff -r --no-dereference /tmp/etc /etc
    ls -d /var/lib/layover* /usr/local/share/ca-certificates/layover* 2>/dev/null
    awk '/layover/ { known[substr($0, 2)] = /^[+]/ } END { for (root in known) if (known[root]) print root }' /tmp/told`,
  ]);
  if (left.length > 0) throw new Error(`left behind: ${left.join('\n')}`);
}

function setUp(machine: Machine, { setup, isScript }: Scene, words: readonly string[]): Promise<Buffer> {
  if (isScript !== true) {
    const main = join(REPOSITORY, 'src/cli/main.ts');
    const argv = [process.execPath, main, 'setup', ...setup, '--gateway', gatewayName, ...words];
    return machine.run(argv, { timeout: 180_000 });
  }
  const line = `curl -fsS http://${gatewayName}:5000/setup.sh | sh -s -- "$@"`;
  return machine.run(['sh', '-c', line, 'sh', ...words, ...setup], { timeout: 180_000 });
}
