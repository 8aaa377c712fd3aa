import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import test from 'ava';
import { parse } from 'yaml';
import { FORMATS } from '../../src/cli/names.ts';
import { VERSION } from '../image/name-server.ts';
import { readDocument } from '../support/markdown.ts';

const ROOT = join(import.meta.dirname, '../..');

interface Service {
  readonly image: string;
  readonly build?: unknown;
  readonly command?: readonly string[];
  readonly profiles?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly volumes?: readonly string[];
  readonly ports?: readonly string[];
  readonly user?: string;
  readonly read_only?: boolean;
  readonly cap_drop?: readonly string[];
}

const { services } = parse(await readDocument('compose.yaml'), { merge: true }) as {
  readonly services: Readonly<Record<string, Service>>;
};
const dockerfile = await readDocument('Dockerfile');

test('the gateway alone is what runs without a profile', (t) => {
  const plain = Object.entries(services).filter(([, { profiles }]) => profiles === undefined);
  t.deepEqual(
    plain.map(([name]) => name),
    ['layover'],
  );
});

test('every container has a read-only file system and no capabilities', (t) => {
  for (const [name, { read_only, cap_drop, user }] of Object.entries(services)) {
    t.true(read_only, name);
    t.deepEqual(cap_drop, ['ALL'], name);
    t.is(user, undefined, name);
  }
});

test("images of others have a version, and the gateway's is built and never fetched from somewhere", (t) => {
  for (const [name, { image, build }] of Object.entries(services)) {
    if (build === undefined) t.regex(image, /^docker\.io\/[a-z]+\/[a-z]+:v?\d+\.\d+\.\d+$/, name);
    else t.is(image, 'localhost/layover', name);
  }
});

test('every folder that the image writes to is a volume that stays', (t) => {
  const [, list = ''] = /^VOLUME (.*)$/m.exec(dockerfile) ?? [];
  const folders = JSON.parse(list) as string[];
  t.deepEqual(folders, ['/layover/data', '/layover/certs', '/layover/logs']);
  for (const folder of folders)
    t.true(services.layover?.volumes?.includes(`${folder.replace('/layover/', '')}:${folder}`), folder);
});

test('the name server is the one that is tested, reads what the gateway writes for it, and asks whom the gateway asks', (t) => {
  const { names, dns, layover } = services;
  const command = names?.command ?? [];
  const after = (option: string) => command[command.indexOf(option) + 1] ?? '';
  t.is(command[0], 'names');
  t.true(FORMATS.has(after('--format')));
  t.true(names?.volumes?.includes('names:/layover/data'));
  t.true(dns?.volumes?.includes('names:/names:ro'));
  t.deepEqual(dns?.command, ['-conf', join('/names', after('--out').replace('data/', ''))]);
  t.is(dns?.image, `docker.io/coredns/coredns:${VERSION.slice(1)}`);
  t.is(names?.environment?.LAYOVER_DNS_SERVERS, layover?.environment?.LAYOVER_DNS_SERVERS);
});

test('docker compose takes the file with every profile', (t) => {
  if (spawnSync('docker-compose', ['version']).error !== undefined) {
    t.log('skipped: there is no docker-compose on this machine');
    t.pass();
    return;
  }
  for (const profiles of [[], ['dns', 'monitoring']]) {
    const chosen = profiles.flatMap((profile) => ['--profile', profile]);
    const { status, stdout, stderr } = spawnSync('docker-compose', [...chosen, 'config'], {
      cwd: ROOT,
      encoding: 'utf8',
      env: { PATH: process.env.PATH, GATEWAY_ADDRESS: '192.0.2.10', NAME_SERVERS: '192.0.2.1' },
    });
    t.is(status, 0, stderr);
    t.is(stderr, '');
    t.true((parse(stdout) as { services: object }).services !== undefined);
    if (profiles.includes('dns')) t.true(stdout.includes('192.0.2.10:53:53/udp'));
  }
});
