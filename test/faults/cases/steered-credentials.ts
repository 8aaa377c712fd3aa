import { writeFile } from 'node:fs/promises';
import type { ServerResponse } from 'node:http';
import { join } from 'node:path';
import { isPrivateAddress } from '../../../src/upstream/address.ts';
import { makeBlob, toBytes } from '../../support/content.ts';
import type { FaultCase, Report } from '../case.ts';
import { Internet, type Sighting } from '../internet.ts';
import { Scene } from '../scene.ts';
import { AUTH, CDN, EVIL, INTERNAL, STEERINGS, type Steering } from '../steering.ts';

const OURS = 'canary-secret-of-the-gateway';
const CLIENTS = 'canary-secret-of-a-client';
const REGISTRY = '9.9.9.1';
const ADDRESSES: Readonly<Record<string, string>> = {
  [AUTH]: '9.9.9.2',
  [EVIL]: '9.9.9.3',
  [`${AUTH}.${EVIL}`]: '9.9.9.3',
  [`${CDN}.${EVIL}`]: '9.9.9.3',
  [CDN]: '9.9.9.4',
  [INTERNAL]: '10.0.0.1',
};
const METADATA = '169.254.169.254';
const blob = makeBlob('steered', 5000);
const bytes = toBytes(blob.content);

/** Challenges, token services and redirects that would have a credential go elsewhere, or a request go inside. */
export const steeredCredentials: FaultCase = {
  name: 'steered-credentials',
  shows: `${STEERINGS.length} challenges and redirects: no credential reaches a host that is not listed, no request a private address`,
  runs: { quick: 1, full: 3 },
  needs: ['namespace', 'ip'],
  async play(report) {
    const hosts = STEERINGS.map((_, index) => hostOf(index));
    const names = [...hosts, ...Object.keys(ADDRESSES)];
    const minted = new Map<string, string>();
    await using internet = await Internet.start(
      [...names, '127.0.0.1', '::1', '9.9.9.3', '10.0.0.1', METADATA, 'localhost'],
      [REGISTRY, ...Object.values(ADDRESSES), METADATA],
      (seen, response) => answer(seen, response, minted),
    );
    const [ca, passwordFile] = [join(report.dir, 'ca.pem'), join(report.dir, 'password')];
    await writeFile(ca, internet.ca);
    await writeFile(passwordFile, OURS, { mode: 0o600 });
    for (const _ of report.runs()) {
      const further = Object.fromEntries(
        hosts.map((host) => [
          host,
          {
            ...{ hosts: [host], urls: [`https://${host}`], ca, tokenHosts: [AUTH], blobHosts: [CDN] },
            credentials: { username: 'gateway', passwordFile, serve: ['library/**'] },
          },
        ]),
      );
      const pins = Object.fromEntries([...hosts.map((host) => [host, REGISTRY]), ...Object.entries(ADDRESSES)]);
      await using scene = await Scene.open(report, { further, config: { dns: { pins } } });
      for (const [index, steering] of STEERINGS.entries()) await steer(scene, report, index, steering);
      judge(report, internet.sightings, minted);
      await scene.verify();
    }
    report.note(`${internet.sightings.length} requests seen by the hosts of this internet`);
  },
};

function hostOf(index: number): string {
  return `r${index}.registry.example`;
}

function indexOf(host: string): number {
  return Number(/^r(\d+)\.registry\.example$/.exec(host)?.[1] ?? -1);
}

function answer({ host, url, authorization }: Sighting, response: ServerResponse, minted: Map<string, string>): void {
  const steering = STEERINGS[indexOf(host)];
  if (host === AUTH) issue(url, response, minted);
  else if (host === CDN && url === '/again') response.writeHead(307, { location: '/again' }).end();
  else if (host === CDN) sendBlob(response);
  else if (steering === undefined) response.writeHead(200).end(JSON.stringify({ token: 'stolen' }));
  else if (!minted.has(authorization.replace(/^Bearer /, ''))) challenge(host, steering, response);
  else if (!url.includes('/blobs/')) response.writeHead(200).end('{}');
  else if (steering.location !== undefined) response.writeHead(307, { location: steering.location }).end();
  else sendBlob(response);
}

function sendBlob(response: ServerResponse): void {
  response.writeHead(200, { 'content-length': bytes.length }).end(bytes);
}

function challenge(host: string, { challenge: lines }: Steering, response: ServerResponse): void {
  const honest = [`Bearer realm="https://${AUTH}/token",service="${host}",scope="repository:library/app:pull"`];
  const values = (lines?.(host) ?? honest).map((line) => Buffer.from(line).toString('latin1').replaceAll('\0', ''));
  response.writeHead(401, { 'www-authenticate': values, 'content-type': 'application/json' }).end('{"errors":[]}');
}

function issue(url: string, response: ServerResponse, minted: Map<string, string>): void {
  const service = new URL(url, 'https://x').searchParams.get('service') ?? '';
  const instead = STEERINGS[indexOf(service)]?.token;
  if (instead !== undefined) {
    const headers = instead.location === undefined ? {} : { location: instead.location };
    response.writeHead(instead.status, headers).end(instead.body ?? '');
    return;
  }
  const token = `token-${Buffer.from(crypto.getRandomValues(new Uint8Array(24))).toString('base64url')}`;
  minted.set(token, service);
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ token, expires_in: 300 }));
}

/** A pull for which the gateway logs in itself, and one with a login of the client's own. */
async function steer(scene: Scene, report: Report, index: number, steering: Steering): Promise<void> {
  const host = hostOf(index);
  const { gateway } = scene;
  const path = `library/app/blobs/${blob.digest}`;
  const pulled = await scene.client.request(`${gateway.own}/v2/${host}/${path}`, { timeout: 90_000 });
  using client = await gateway.client(host);
  const asked = await client.request(`https://${host}/v2/`, { timeout: 90_000 });
  const told = `${asked.headers['www-authenticate'] ?? ''}`;
  report.expect(!told.includes(EVIL), `${steering.name}: the client is told ${told}`);
  const url = `https://${host}/v2/_layover/token?service=${host}&scope=repository:library/app:pull`;
  const basic = `Basic ${Buffer.from(`ada:${CLIENTS}`).toString('base64')}`;
  const { status, body } = await client.request(url, { headers: { authorization: basic }, timeout: 90_000 });
  const token = status === 200 ? /"token": ?"([\w-]{1,2000})"/.exec(body.toString())?.[1] : undefined;
  const headers: Record<string, string> = token === undefined ? {} : { authorization: `Bearer ${token}` };
  const own = await client.request(`https://${host}/v2/${path}`, { headers, timeout: 90_000 });
  for (const answer of [pulled, asked, own]) {
    report.expect(
      answer.status !== 500,
      `${steering.name}: answered ${answer.status} ${answer.body.toString().slice(0, 100)}`,
    );
    const isContent = answer.status === 200 && answer !== asked;
    if (isContent) report.expect(answer.digest === blob.digest, `${steering.name}: wrong bytes`);
  }
  if (steering.isHonest !== true) return;
  report.expect(
    pulled.digest === blob.digest && own.digest === blob.digest,
    `${steering.name} fails: ${pulled.status} ${own.status}`,
  );
}

function judge(report: Report, sightings: readonly Sighting[], minted: ReadonlyMap<string, string>): void {
  let strangers = 0;
  for (const { host, address, port, encrypted, authorization, url, body } of sightings) {
    const where = `${encrypted ? 'https' : 'http'}://${host} (${address}:${port})`;
    const isRegistry = indexOf(host) >= 0 && address === REGISTRY && encrypted && port === 443;
    const isAuth = host === AUTH && address === ADDRESSES[AUTH] && encrypted && port === 443;
    const carries = authorization !== '' || /canary|token-[\w-]{32}/.test(decode(`${url} ${body}`));
    if (!isRegistry && !isAuth) {
      report.expect(!carries, `a credential reached ${where}`);
      if (host !== CDN || !encrypted) strangers++;
    }
    report.expect(!isPrivateAddress(address), `a request reached the private address ${where}`);
    const service = minted.get(authorization.replace(/^Bearer /, ''));
    if (isRegistry && service !== undefined) {
      report.expect(service === host || indexOf(service) < 0, `${host} was shown the token for ${service}`);
    }
    if (isRegistry) report.expect(!decode(authorization).includes('canary'), `${host} was shown a password`);
  }
  const isSeen = (secret: string) =>
    sightings.some((one) => one.host === AUTH && decode(one.authorization).includes(secret));
  for (const secret of [OURS, CLIENTS]) {
    report.expect(isSeen(secret), `${secret} did not reach the honest token service: the harness is blind`);
  }
  report.note(`${strangers} requests reached hosts that are not listed, without a credential`);
}

function decode(text: string): string {
  return `${text} ${Buffer.from(text.replace(/^Basic /, ''), 'base64').toString('latin1')} ${Buffer.from(text, 'latin1')}`;
}
