import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFile, mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import test from 'ava';
import { daemons } from '../../src/cli/doctor-daemons.ts';
import { type ClientsFacts, judgeClients } from '../../src/doctor/clients.ts';
import { probeDaemons } from '../../src/doctor/clients-probe.ts';
import { directoryOf } from '../store/directory.ts';
import { fixes, said } from './findings.ts';

const NOW = Date.UTC(2026, 10, 21);
const BUNDLE = { file: '/etc/ssl/certs/ca-certificates.crt', changed: NOW };

function factsOf(facts: Partial<ClientsFacts>): ClientsFacts {
  return {
    daemons: [{ program: 'dockerd', unit: 'docker', started: NOW + 60_000 }],
    bundle: BUNDLE,
    isLed: true,
    ...facts,
  };
}

test('a daemon that was started after the root was trusted is right', (t) => {
  t.deepEqual(said(judgeClients(factsOf({}))), ['ok: nothing hinders dockerd']);
  t.deepEqual(said(judgeClients(factsOf({ daemons: [] }))), ['ok: no daemon that pulls runs here']);
});

test('a daemon from before the root was trusted is to be restarted, where names lead to the gateway', (t) => {
  const early = [{ program: 'k3s-server', unit: 'k3s', started: NOW - 60_000 }];
  const found = judgeClients(factsOf({ daemons: early }));
  t.deepEqual(said(found), [`warning: k3s-server has been running since before ${BUNDLE.file} was changed`]);
  t.deepEqual(fixes(found), ['sudo systemctl restart k3s']);
  t.is(judgeClients(factsOf({ daemons: early, isLed: false }))[0]?.status, 'ok');
  const { bundle: _, ...distrusting } = factsOf({ daemons: early });
  t.is(judgeClients(distrusting)[0]?.status, 'ok');
  const rounded = [{ program: 'dockerd', unit: 'docker', started: NOW - 900 }];
  t.is(judgeClients(factsOf({ daemons: rounded }))[0]?.status, 'ok');
});

test('a running daemon is known by the name of its program, with the time of its start', async (t) => {
  if (process.platform !== 'linux') return t.pass();
  const program = join(directoryOf(t), 'k3s-agent');
  await copyFile('/bin/sleep', program);
  const before = Date.now();
  const child = spawn(program, ['600'], { stdio: 'ignore' });
  t.teardown(() => child.kill('SIGKILL'));
  await once(child, 'spawn');
  const after = Date.now();
  const own = (await probeDaemons()).filter(({ unit }) => unit === 'k3s-agent');
  t.true(
    own.some(({ started }) => started > before - 3_000 && started < after + 3_000),
    JSON.stringify({ own, before, after }),
  );
  return undefined;
});

/** What is said of a containerd with this configuration, whose hosts.toml names the gateway. */
async function containerd(root: string, config: string | undefined, directory = '/etc/containerd/certs.d') {
  const hosts = `${directory}/docker.io/hosts.toml`;
  const files = { [hosts]: '', ...(config !== undefined && { '/etc/containerd/config.toml': config }) };
  for (const [file, content] of Object.entries(files)) {
    await mkdir(dirname(join(root, file)), { recursive: true });
    await writeFile(join(root, file), content);
  }
  return daemons(root, [], [], [hosts]);
}

const CRI = '[plugins."io.containerd.grpc.v1.cri".registry]';

test('hosts.toml that containerd does not read is found', async (t) => {
  const unread = /^problem: containerd does not read \/etc\/containerd\/certs\.d/;
  for (const [config, fix] of [
    ['version = 2\n', /^layover setup containerd --gateway HOST --apply/],
    [`version = 2\n${CRI}\n  sandbox = "x"\n`, /set config_path = /],
    [`version = 2\n${CRI}\n  config_path = "/etc/other"\n`, /^move them to \/etc\/other/],
  ] as const) {
    const found = await containerd(directoryOf(t), config);
    t.regex(said(found)[0] ?? '', unread, config);
    t.regex(fixes(found)[0] ?? '', fix);
  }
  for (const config of [`version = 2\n${CRI}\n  config_path = "/etc/containerd/certs.d"\n`, 'version = 3\n', undefined])
    t.deepEqual(
      (await containerd(directoryOf(t), config)).map(({ status }) => status),
      ['ok'],
      config,
    );
  const docker = await containerd(directoryOf(t), 'version = 2\n', '/etc/docker/certs.d');
  t.deepEqual(
    docker.map(({ status }) => status),
    ['ok'],
  );
});
