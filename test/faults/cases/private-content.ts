import { isDeepStrictEqual } from 'node:util';
import type { Client, ClientResponse } from '../../support/client.ts';
import { makeBlob, toBytes } from '../../support/content.ts';
import { blobsOf, type Image, makeImage } from '../../support/image.ts';
import type { FaultCase, Report, Run } from '../case.ts';
import type { Gateway } from '../gateway.ts';
import { HOST, login } from '../login.ts';
import { betrayalIn } from '../oracles.ts';
import { Scene } from '../scene.ts';

const OWNERS = ['ada', 'bob'] as const;
const USERS: Record<string, string> = {
  ada: 'canary-secret-of-ada',
  bob: 'canary-secret-of-bob',
  eve: 'canary-secret-of-eve',
};
/** Who all pull at once, each its own. */
const CROWD = Array.from({ length: 20 }, (_, index) => `user-${index}`);
for (const user of CROWD) USERS[user] = `canary-secret-of-${user}`;
const NOTHING = `sha256:${'0123456789abcdef'.repeat(4)}`;

interface Secret {
  readonly owner: (typeof OWNERS)[number];
  readonly name: string;
  /** As long as `name`, and not there. */
  readonly absent: string;
  readonly image: Image;
}

interface Caller {
  readonly who: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** One way to get at something; `rest` and `repository` can stand for what is private or for what is not there. */
interface Attempt {
  readonly what: string;
  readonly method: string;
  readonly url: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Twenty users who pull what is theirs at the same moment get that, and nothing of their neighbour's. */
async function crowd({ gateway, upstream, report }: Scene, { seed }: Run): Promise<number> {
  const nameOf = (user: string): string => `acme/${user}-${seed}`;
  const blobs = new Map(CROWD.map((user) => [user, makeBlob(`${user} ${seed}`, 5000)]));
  for (const [user, blob] of blobs) {
    upstream.repositories.open(nameOf(user), [user]);
    upstream.addBlob(nameOf(user), blob);
  }
  using client = await gateway.client(HOST);
  const pulls = CROWD.map(async (user, index) => {
    const neighbour = CROWD[(index + 1) % CROWD.length] ?? '';
    const headers = await login(client, [nameOf(user), nameOf(neighbour)], user, USERS[user]);
    for (const owner of [user, neighbour, user]) {
      const digest = blobs.get(owner)?.digest ?? '';
      const answer = await client.request(`https://${HOST}/v2/${nameOf(owner)}/blobs/${digest}`, { headers });
      const isRight = owner === user ? answer.digest === digest : answer.status === 401;
      report.expect(isRight, `${user} asks for what is of ${owner}: ${answer.status}`);
    }
  });
  await Promise.all(pulls);
  return 3 * CROWD.length;
}

/** Everything private is cached, and everybody but its owner asks for it by every way there is. */
export const privateContent: FaultCase = {
  name: 'private-content',
  shows: 'what one user pulled gives another no byte and no hint, by any way, with the upstream up, down or restarted',
  runs: { quick: 1, full: 25 },
  async play(report) {
    await using scene = await Scene.open(report, { upstream: { users: USERS, profile: 'hub', tls: false } });
    let tries = 0;
    const delays: number[] = [];
    for (const run of report.runs()) {
      tries += await crowd(scene, run);
      const secrets = OWNERS.map((owner) => makeSecret(scene, owner, run));
      for (const secret of secrets) await cache(scene, secret);
      tries += await round(scene, report, secrets, 'up', delays);
      const callers = await callersOf(scene.gateway, secrets);
      await scene.upstream.down();
      tries += await round(scene, report, secrets, 'down', delays, callers);
      await scene.gateway.down();
      await scene.gateway.up();
      tries += await round(scene, report, secrets, 'down, after a restart', delays, callers);
      await scene.upstream.up();
      await scene.gateway.down();
      await scene.gateway.up();
    }
    const delay = delays.sort((one, other) => one - other)[delays.length >> 1] ?? 0;
    report.note(`what is private takes ${delay.toFixed(2)} ms longer than what is not there, in the median (goal 1)`);
    report.note(`${tries} requests, each compared with one for something that is not there`);
    await scene.measure();
    await scene.verify();
  },
};

function makeSecret(scene: Scene, owner: Secret['owner'], { seed }: Run): Secret {
  const image = makeImage({ seed: `${owner} ${seed}`, platforms: ['linux/amd64'], layers: [3000] });
  const [name, absent] = [`acme/${owner}-secret-${seed}`, `acme/${owner}-absent-${seed}`];
  scene.upstream.add(name, image, { access: [owner] });
  return { owner, name, absent, image };
}

async function cache({ gateway, report }: Scene, { owner, name, image }: Secret): Promise<void> {
  using client = await gateway.client(HOST);
  const headers = await login(client, [name], owner, USERS[owner]);
  for (const digest of [image.digest, ...blobsOf(image)]) {
    const kind = digest === image.digest ? 'manifests' : 'blobs';
    const answer = await client.request(`https://${HOST}/v2/${name}/${kind}/${digest}`, { headers });
    report.expect(answer.digest === digest, `the owner of ${name} gets ${answer.status}`);
  }
}

async function callersOf(gateway: Gateway, secrets: readonly Secret[]): Promise<readonly Caller[]> {
  using client = await gateway.client(HOST);
  const names = secrets.flatMap(({ name, absent }) => [name, absent]);
  return [
    { who: 'nobody', headers: {} },
    { who: 'an anonymous token', headers: await login(client, names) },
    { who: 'eve', headers: await login(client, names, 'eve', USERS.eve) },
    { who: 'bob', headers: await login(client, names, 'bob', USERS.bob) },
    { who: 'ada with a wrong password', headers: await login(client, names, 'ada', 'canary-secret-wrong') },
    { who: 'a made-up token', headers: { authorization: 'Bearer made-up' } },
    { who: 'Basic of eve', headers: { authorization: `Basic ${Buffer.from(`eve:${USERS.eve}`).toString('base64')}` } },
  ];
}

async function round(
  { gateway }: Scene,
  report: Report,
  secrets: readonly Secret[],
  when: string,
  delays: number[],
  known?: readonly Caller[],
): Promise<number> {
  using client = await gateway.client(HOST);
  let tries = 0;
  for (const caller of known ?? (await callersOf(gateway, secrets))) {
    for (const secret of secrets.filter(({ owner }) => owner !== caller.who)) {
      const real = attempts(gateway, secret, secret.name, (digest) => digest);
      const fake = attempts(gateway, secret, secret.absent, () => NOTHING);
      for (const [index, attempt] of real.entries()) {
        const other = fake[index];
        if (other === undefined) continue;
        const [answer, expected] = [await ask(client, attempt, caller), await ask(client, other, caller)];
        tries++;
        delays.push(answer.totalMs - expected.totalMs);
        const what = `upstream ${when}: ${caller.who}, ${attempt.method} ${attempt.what}`;
        judge(report, secret, what, answer, expected);
      }
    }
  }
  return tries;
}

function attempts({ own }: Gateway, { image }: Secret, name: string, digest: (real: string) => string): Attempt[] {
  const [config = '', layer = ''] = blobsOf(image);
  const pieces: readonly (readonly [what: string, rest: string])[] = [
    ['the tag', 'manifests/latest'],
    ['the manifest', `manifests/${digest(image.digest)}`],
    ['the config', `blobs/${digest(config)}`],
    ['the layer', `blobs/${digest(layer)}`],
    ['the tags', 'tags/list'],
    ['the referrers', `referrers/${digest(image.digest)}`],
  ];
  const doors = [`https://${HOST}/v2/${name}/`, `${own}/v2/docker.io/${name}/`, `${own}/v2/${name}/`];
  const found: Attempt[] = [];
  for (const [index, door] of doors.entries()) {
    for (const [what, rest] of pieces) {
      const url = index === 2 ? `${door}${rest}?ns=docker.io` : door + rest;
      for (const method of ['GET', 'HEAD']) found.push({ what: `${what} by door ${index}`, method, url });
      const part = { headers: { range: 'bytes=0-99' }, what: `a range of ${what} by door ${index}` };
      found.push({ ...part, method: 'GET', url });
    }
  }
  // The same bytes under the name of a repository that everybody may read.
  for (const rest of [`blobs/${digest(layer)}`, `manifests/${digest(image.digest)}`]) {
    const what = 'under a public name';
    found.push({ what, method: 'GET', url: `https://${HOST}/v2/library/app/${rest}` });
    found.push({ what, method: 'GET', url: `${own}/v2/docker.io/library/app/${rest}` });
  }
  const mount = `?mount=${digest(layer)}&from=${name}`;
  found.push({ what: 'by mounting', method: 'POST', url: `https://${HOST}/v2/eve/own/blobs/uploads/${mount}` });
  found.push({ what: 'in the catalog', method: 'GET', url: `https://${HOST}/v2/_catalog` });
  return found;
}

function ask(client: Client, { method, url, headers }: Attempt, caller: Caller): Promise<ClientResponse> {
  return client.request(url, { method, headers: { ...headers, ...caller.headers } });
}

function judge(report: Report, secret: Secret, what: string, answer: ClientResponse, expected: ClientResponse): void {
  const contents = [...secret.image.blobs.values()].map(toBytes);
  const leaks = contents.some((bytes) => answer.body.includes(bytes.subarray(0, 32)));
  report.expect(!leaks && !answer.body.includes('"layers"'), `${what}: content in an answer ${answer.status}`);
  const [told, absent] = [toldBy(answer, secret), toldBy(expected, secret)];
  for (const betrayal of betrayalIn(what, JSON.stringify([answer.headers, answer.body.toString()]))) {
    report.violation(betrayal);
  }
  const same = isDeepStrictEqual(told, absent);
  report.expect(same, `${what}: ${JSON.stringify(told)} instead of ${JSON.stringify(absent)}`);
}

/** What an answer gives away, once the names in it are made equal. */
function toldBy(answer: ClientResponse, { name, absent, image }: Secret): object {
  const neutral = (text: string): string => {
    const digests = [image.digest, ...blobsOf(image)];
    return [name, absent, ...digests, NOTHING].reduce((left, part) => left.replaceAll(part, '?'), text);
  };
  const headers = Object.entries(answer.headers).filter(([field]) => !['date', 'docker-upload-uuid'].includes(field));
  const fields = headers.map(([field, value]) => `${field}: ${/uploads/.test(`${value}`) ? '?' : neutral(`${value}`)}`);
  return { status: answer.status, body: neutral(answer.body.toString()), fields: fields.sort() };
}
