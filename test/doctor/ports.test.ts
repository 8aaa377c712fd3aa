import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { createServer as createWebServer } from 'node:http';
import { type AddressInfo, connect, createServer, type Server } from 'node:net';
import test, { type ExecutionContext } from 'ava';
import type { Config } from '../../src/config/config.ts';
import { loadConfig } from '../../src/config/load.ts';
import { holderOf } from '../../src/doctor/port-holder.ts';
import { judgePorts, type PortFacts } from '../../src/doctor/ports.ts';
import { probePorts, reachable } from '../../src/doctor/ports-probe.ts';
import { TestGateway } from '../support/gateway.ts';
import { fixes, said } from './findings.ts';

/** No port that the system would choose, and another one for each process. */
const FREE_PORT = 20_000 + (process.pid % 10_000);

const FREE: PortFacts = {
  key: 'listen.https',
  host: '::',
  port: 443,
  bound: 'free',
  answers: 'nobody',
  restricted: false,
};

test('ports that are free, or that the gateway has, are right', (t) => {
  t.deepEqual(said(judgePorts([FREE, { ...FREE, bound: 'taken', answers: 'gateway' }])), [
    'ok: port 443 is free',
    'ok: the gateway answers on port 443',
  ]);
});

test('a port that somebody else has is told with who it is and how to stop it', (t) => {
  const taken: PortFacts = { ...FREE, bound: 'taken', answers: 'other', holder: { pid: 12, name: 'nginx' } };
  const found = judgePorts([taken]);
  t.deepEqual(said(found), ['problem: port 443 is taken by nginx (process 12)']);
  t.deepEqual(fixes(found), [
    `stop it: sudo systemctl disable --now nginx; or in the gateway's configuration: listen: { https: ":8443" }`,
  ]);
  t.is(judgePorts([{ ...taken, fallbackPort: 8443, fellBack: true }])[0]?.status, 'warning');
  const { holder: _, ...unknown } = taken;
  const nobody = judgePorts([{ ...unknown, key: 'listen.http', port: 5000 }]);
  t.deepEqual(said(nobody), ['problem: port 5000 is taken by another program']);
  t.regex(
    fixes(nobody)[0] ?? '',
    /sudo ss -ltnp 'sport = :5000'; or in the gateway's configuration: listen: \{ http: ":5001" \}/,
  );
});

test('a listener that does not let this machine in may be the gateway', (t) => {
  const shut: PortFacts = { ...FREE, bound: 'taken', restricted: true };
  t.is(judgePorts([shut])[0]?.status, 'warning');
  t.is(judgePorts([{ ...shut, answers: 'other' }])[0]?.status, 'problem');
});

test('a port that this user may not have breaks the start, or is fallen back from', (t) => {
  const found = judgePorts([{ ...FREE, bound: 'forbidden' }]);
  t.deepEqual(said(found), ['problem: this user may not listen on port 443']);
  t.regex(fixes(found)[0] ?? '', /^sudo sysctl -w net\.ipv4\.ip_unprivileged_port_start=443/);
  t.is(judgePorts([{ ...FREE, bound: 'forbidden', fallbackPort: 8443 }])[0]?.status, 'warning');
});

test('a gateway that fell back to another port is told, also where the port is free by now', async (t) => {
  await using gateway = await TestGateway.start({ upstreams: [] });
  const config = await configOf({});
  const roots = [new X509Certificate(await gateway.rootCertificate())];
  const found = async (fallbackPort: number) => {
    const https = [{ host: '127.0.0.1', port: FREE_PORT, fallbackPort }] as const;
    return judgePorts(await probePorts({ listen: { ...config.listen, https } }, roots));
  };
  t.deepEqual(said(await found(gateway.tlsPort)), [
    `warning: the gateway answers on port ${gateway.tlsPort} instead of ${FREE_PORT}`,
  ]);
  t.deepEqual(said(await found(Number(new URL(gateway.own).port))), [`ok: port ${FREE_PORT} is free`]);
});

test('an address that is not of this machine cannot be bound', (t) => {
  const found = judgePorts([{ ...FREE, host: '192.0.2.1', bound: 'EADDRNOTAVAIL' }]);
  t.deepEqual(said(found), ['problem: 192.0.2.1 port 443 cannot be bound: EADDRNOTAVAIL']);
});

async function listening(t: ExecutionContext, server: Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => void server.close());
  return (server.address() as AddressInfo).port;
}

function configOf(listen: Readonly<Record<string, string>>): Promise<Config> {
  const text = JSON.stringify({
    listen: { https: '127.0.0.1:0', http: '127.0.0.1:0', admin: '127.0.0.1:0', ...listen },
  });
  return loadConfig({ file: '(test)', text, env: {}, cwd: '/' });
}

test('another program on a port is found, with its name', async (t) => {
  const web = createWebServer((_, response) => void response.end('another page'));
  const silent = createServer((socket) => void socket.on('error', () => {}).end());
  const admin = createWebServer((_, response) => void response.end('no readiness'));
  const ports = await Promise.all([silent, web, admin].map((server) => listening(t, server)));
  const [https, http, other] = ports.map((port) => `127.0.0.1:${port}`) as [string, string, string];
  const config = await configOf({ https, http, admin: other });
  const facts = await probePorts(config, []);
  const brief = facts.map(({ key, bound, answers, holder }) => ({ key, bound, answers, pid: holder?.pid }));
  const pid = process.platform === 'linux' ? process.pid : undefined;
  t.deepEqual(brief, [
    { key: 'listen.https', bound: 'taken', answers: 'nobody', pid },
    { key: 'listen.http', bound: 'taken', answers: 'other', pid },
    { key: 'listen.admin', bound: 'taken', answers: 'other', pid },
  ]);
  t.deepEqual([...new Set(judgePorts(facts).map(({ status }) => status))], ['problem']);
});

test('only who listens on a port is said to have it', async (t) => {
  if (process.platform !== 'linux') return t.pass();
  const server = createServer((socket) => void socket.on('error', () => {}));
  const port = await listening(t, server);
  const client = connect({ port, host: '127.0.0.1', localAddress: '127.83.1.9', localPort: 21_986 });
  t.teardown(() => client.destroy());
  await once(client, 'connect');
  t.is((await holderOf(port))?.pid, process.pid);
  t.is(await holderOf(21_986), undefined);
  t.is(await holderOf(21_987), undefined);
  return undefined;
});

test('a port that nobody has is free, and one that the system chooses is left out', async (t) => {
  // Taken for a moment: it must be nobody else's, and nobody must count on its being free.
  const own = `127.84.${(process.pid >> 8) & 0xff}.${process.pid & 0xff}:21987`;
  const facts = await probePorts(await configOf({ http: own }), []);
  t.like(facts, [{ key: 'listen.http', bound: 'free', answers: 'nobody' }]);
  t.is(facts.length, 1);
});

test('an address of another machine cannot be bound', async (t) => {
  const [facts] = await probePorts(await configOf({ http: '192.0.2.1:5000' }), []);
  t.is(facts?.bound, 'EADDRNOTAVAIL');
});

test('a running gateway is known by its root, and another one is not taken for it', async (t) => {
  await using gateway = await TestGateway.start({ upstreams: [] });
  await using other = await TestGateway.start({ upstreams: [] });
  const at = (origin: string): string => new URL(origin).host;
  const config = await configOf({
    https: `127.0.0.1:${gateway.tlsPort}`,
    http: at(gateway.own),
    admin: at(gateway.admin),
  });
  const own = new X509Certificate(await gateway.rootCertificate());
  const foreign = new X509Certificate(await other.rootCertificate());
  const answers = async (root: X509Certificate) => (await probePorts(config, [root])).map((facts) => facts.answers);
  t.deepEqual(await answers(own), ['gateway', 'gateway', 'gateway']);
  t.deepEqual(await answers(foreign), ['other', 'other', 'gateway']);
});

test('a listener for every interface is looked for on this machine', (t) => {
  t.deepEqual(['::', '0.0.0.0', 'localhost', '192.0.2.1'].map(reachable), [
    '127.0.0.1',
    '127.0.0.1',
    '127.0.0.1',
    '192.0.2.1',
  ]);
});
