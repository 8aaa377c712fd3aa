import { mkdir, mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { parseAuthorization, parseLogin } from '../../src/auth/authorization.ts';
import { Callers } from '../../src/auth/callers.ts';
import { OfflineTokens } from '../../src/auth/offline-tokens.ts';
import { ANONYMOUS, type Principal, Principals } from '../../src/auth/principal.ts';
import { Proofs } from '../../src/auth/proofs.ts';
import { Content } from '../../src/store/content.ts';
import { FileBackend } from '../../src/store/file-backend.ts';
import { withoutProof, withoutPublic, withProof, withPublic } from '../../src/store/records.ts';
import { MemoryBackend } from '../store/memory-backend.ts';
import { ADA, basic, Clock } from './scene.ts';

const KEY = new Uint8Array(32).fill(7);
const REPOSITORY = { root: 'cache', upstream: 'docker.io', name: 'acme/app' } as const;

function callers(clock = new Clock()): Callers {
  return new Callers(new Principals(KEY), new OfflineTokens(KEY, clock.now), clock.now);
}

test('a credential is one principal at one upstream, however it comes, also after a restart', async (t) => {
  const [one, other] = [callers(), callers()];
  const { principal } = await one.identify(ADA, 'docker.io');
  t.regex(principal, /^credential:[a-f0-9]{64}$/);
  t.is((await other.identify(ADA, 'docker.io')).principal, principal);
  t.is((await one.identify(ADA.replace('Basic ', 'basic  '), 'docker.io')).principal, principal);
  const form = new URLSearchParams({ grant_type: 'password', username: 'ada', password: 'password of ada' }).toString();
  t.is(one.principalOf(parseLogin({ query: new URLSearchParams(), form }), 'docker.io'), principal);
  t.not((await one.identify(ADA, 'ghcr.io')).principal, principal);
  t.not((await one.identify(basic('ada', 'else'), 'docker.io')).principal, principal);
  t.not((await one.identify(`Bearer ${ADA.slice(6)}`, 'docker.io')).principal, principal);
  t.not(
    one.principalOf({ kind: 'password', secret: ['a:b', 'c'] }, 'docker.io'),
    one.principalOf({ kind: 'password', secret: ['a', 'b:c'] }, 'docker.io'),
  );
});

test('whatever a request brings makes it somebody’s, only a bare one is anybody’s', async (t) => {
  t.deepEqual(await callers().identify(undefined, 'docker.io'), ANONYMOUS);
  for (const authorization of ['Basic ???', 'Basic YWRh', 'Digest x', 'Bearer', 'x', ''])
    t.not((await callers().identify(authorization, 'docker.io')).principal, 'anonymous', authorization);
  const query = (text = ''): URLSearchParams => new URLSearchParams(text);
  const bare = 'service=s&scope=a&scope=b&client_id=c&account=ada&offline_token=true';
  t.is(parseLogin({ query: query() }), undefined);
  t.is(parseLogin({ query: query(bare) }), undefined);
  for (const login of [
    { query: query(`${bare}&password=x`) },
    { query: query(), authorization: 'Negotiate x' },
    { query: query(), authorization: '' },
    { query: query(), form: '' },
    { query: query(), form: '{"username":"ada","password":"x"}' },
    { query: query(), form: 'grant_type=authorization_code&code=x' },
  ])
    t.not(parseLogin(login), undefined, JSON.stringify(login));
  t.deepEqual(parseLogin({ query: query(bare), authorization: ADA }), parseAuthorization(ADA));
  t.deepEqual(parseLogin({ query: query(), form: 'refresh_token=r&username=ada' }), { kind: 'refresh', secret: ['r'] });
});

test('two ways to say who asks are a third principal', (t) => {
  const of = (authorization: string | undefined, password: string): Principal =>
    callers().principalOf(
      parseLogin({
        query: new URLSearchParams(),
        form: `username=ada&password=${password}`,
        ...(authorization !== undefined && { authorization }),
      }),
      'docker.io',
    );
  const all = [of(undefined, 'a'), of(undefined, 'b'), of(ADA, 'a'), of(ADA, 'b'), of(basic('eve', 'x'), 'a')];
  t.is(new Set(all).size, all.length);
});

test('a token is whoever’s it was issued to for as long as it lives, and nobody else’s', async (t) => {
  const clock = new Clock();
  const all = callers(clock);
  const [ada, eve] = ['credential:ada', 'credential:eve'] as const;
  const who = async (token: string): Promise<Principal> =>
    (await all.identify(`Bearer ${token}`, 'docker.io')).principal;
  const unknown = await who('t');
  all.issued('docker.io', 't', ada, 300);
  t.is(await who('t'), ada);
  t.not((await all.identify('Bearer t', 'ghcr.io')).principal, ada);
  clock.advance(301);
  t.is(await who('t'), unknown);
  all.issued('docker.io', 'shared', ada, 300);
  all.issued('docker.io', 'shared', ada, 300);
  t.is(await who('shared'), ada);
  all.issued('docker.io', 'shared', eve, 300);
  for (const principal of [ada, eve]) t.not(await who('shared'), principal);
  all.issued('docker.io', 'shared', ada, 300);
  t.not(await who('shared'), ada);
});

test('the oldest tokens are forgotten, never mistaken', async (t) => {
  const all = callers();
  for (let at = 0; at < 20_001; at++) all.issued('docker.io', `t${at}`, `credential:${at}`, 300);
  const who = async (token: string): Promise<Principal> =>
    (await all.identify(`Bearer ${token}`, 'docker.io')).principal;
  t.regex(await who('t0'), /^credential:[a-f0-9]{64}$/);
  t.is(await who('t1'), 'credential:1');
  t.is(await who('t20000'), 'credential:20000');
});

test('changes to a record at the same time are all kept, in memory and on disk', async (t) => {
  const content = new Content(new MemoryBackend());
  const proofs = new Proofs(content);
  const names = Array.from({ length: 50 }, (_, at) => `credential:${at}`);
  await Promise.all([
    proofs.update(REPOSITORY, (record) => withPublic(record, 1)),
    ...names.map((name, at) => proofs.update(REPOSITORY, (record) => withProof(record, name, at + 1))),
    proofs.update(REPOSITORY, withoutPublic),
    proofs.update(REPOSITORY, (record) => withoutProof(record, 'credential:7')),
  ]);
  const expected = names.filter((name) => name !== 'credential:7').sort();
  for (const record of [await proofs.of(REPOSITORY), await new Proofs(content).of(REPOSITORY)]) {
    t.deepEqual(Object.keys(record.proofs).sort(), expected);
    t.is(record.public, undefined);
  }
});

test('a record that could not be read is read again', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'layover-proofs-'));
  t.teardown(() => rm(dir, { recursive: true }));
  const inTheWay = join(dir, 'repositories/docker.io/acme/app/_access');
  await mkdir(join(inTheWay, '..'), { recursive: true });
  await symlink(inTheWay, inTheWay);
  const proofs = new Proofs(new Content(new FileBackend(dir)));
  await t.throwsAsync(proofs.of(REPOSITORY), { code: 'ELOOP' });
  await rm(inTheWay);
  t.deepEqual(await proofs.of(REPOSITORY), { proofs: {} });
});
