import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { isContainer, judgeBootstrap } from '../../src/doctor/bootstrap.ts';
import { judgeReach, judgeReadiness } from '../../src/doctor/gateway.ts';
import { probeReadiness } from '../../src/doctor/readiness-probe.ts';
import { introduce } from '../../src/doctor/roots.ts';
import { directoryOf } from '../store/directory.ts';
import { TestGateway } from '../support/gateway.ts';
import { serve } from '../upstream/support.ts';
import { fixes, NOBODY, said } from './findings.ts';

test('a gateway that is ready is right, and its warnings are passed on', async (t) => {
  const admin = 'nas.lan:9464';
  t.deepEqual(said(judgeReadiness({ admin, ready: { status: 200, lines: ['ok', 'processes: 4'] } })), [
    'ok: the gateway is ready, processes: 4',
  ]);
  t.deepEqual(said(judgeReadiness({ admin, ready: { status: 200, lines: ['ok', 'warning: the disk'] } })), [
    'ok: the gateway is ready',
    'warning: the disk',
  ]);
  t.deepEqual(said(judgeReadiness({ admin, ready: { status: 503, lines: ['not ready'] } })), [
    'problem: the gateway at http://nas.lan:9464 is not ready (503)',
  ]);
  t.deepEqual(said(judgeReadiness({ admin })), ['warning: no gateway answers at http://nas.lan:9464']);
});

test('a running gateway is asked on its admin listener', async (t) => {
  await using gateway = await TestGateway.start({ upstreams: [] });
  const { host } = new URL(gateway.admin);
  t.deepEqual(said(judgeReadiness(await probeReadiness(host))), ['ok: the gateway is ready']);
  t.is(judgeReadiness(await probeReadiness(NOBODY))[0]?.status, 'warning');
});

test('a client reaches the gateway, or something else, or nothing', async (t) => {
  await using gateway = await TestGateway.start({ upstreams: [] });
  const { roots, ahead = Number.NaN } = await introduce(gateway.own);
  t.is(roots.length, 1);
  t.true(Math.abs(ahead) < 60_000);
  const fingerprint = roots[0]?.fingerprint256 ?? '';
  t.deepEqual(
    judgeReach({ gateway: 'nas.lan:5000', fingerprint }).map(({ status }) => status),
    ['ok'],
  );
  const web = await serve(t, (_, response) => void response.end('another page'));
  t.deepEqual((await introduce(web.url.origin)).roots, []);
  t.deepEqual(said(judgeReach({ gateway: 'nas.lan:80' })), [
    'problem: what answers at http://nas.lan:80 is no gateway',
  ]);
  const { error } = await introduce(`http://${NOBODY}`);
  t.is(error, 'ECONNREFUSED');
  const away = judgeReach({ gateway: 'nas.lan:5000', error: 'ECONNREFUSED' });
  t.deepEqual(said(away), ['problem: no gateway answers at http://nas.lan:5000: ECONNREFUSED']);
  t.regex(fixes(away)[0] ?? '', /sudo ufw allow 5000\/tcp/);
  const nameless = judgeReach({ gateway: 'nas.lan:5000', error: 'ENOTFOUND' });
  t.deepEqual(fixes(nameless), ['name it by its IP address: layover doctor --gateway 192.0.2.10']);
});

test('a container is known by its marks, and by who has the ports', async (t) => {
  for (const mark of ['.dockerenv', 'run/.containerenv', 'run/secrets/kubernetes.io']) {
    const root = directoryOf(t);
    await mkdir(join(root, mark), { recursive: true });
    t.true(isContainer(root, []), mark);
  }
  t.true(isContainer(directoryOf(t), [{ pid: 7, name: 'docker-proxy' }]));
  t.false(isContainer(directoryOf(t), [{ pid: 7, name: 'node' }]));
});

test('a gateway in a container whose image comes through itself is warned of', (t) => {
  const led = ['registry-1.docker.io', 'ghcr.io'];
  const found = judgeBootstrap({ inContainer: true, led, mirrors: [] });
  t.regex(
    said(found)[0] ?? '',
    /^warning: the gateway is a container, and on its own machine registry-1\.docker\.io, /,
  );
  t.regex(fixes(found)[0] ?? '', /docker save IMAGE/);
  for (const facts of [
    { inContainer: false, led, mirrors: [] },
    { inContainer: true, led: [], mirrors: [] },
    { inContainer: true, led: [], mirrors: ['/etc/docker/daemon.json'] },
  ])
    t.deepEqual(
      judgeBootstrap(facts).map(({ status }) => status),
      ['ok'],
    );
});
