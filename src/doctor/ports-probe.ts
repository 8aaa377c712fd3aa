import type { X509Certificate } from 'node:crypto';
import { createServer } from 'node:net';
import type { Config, ListenAddress } from '../config/config.ts';
import { authorityOf } from './authority.ts';
import { bounded } from './bounded.ts';
import { shakeHands } from './handshake.ts';
import { holderOf } from './port-holder.ts';
import type { PortFacts } from './ports.ts';
import { introduce, isSignedBy } from './roots.ts';

/** What is at every address that the configuration names; ports that the system is to choose are left out. */
export async function probePorts(
  { listen }: Pick<Config, 'listen'>,
  roots: readonly X509Certificate[],
): Promise<readonly PortFacts[]> {
  const doors = (['https', 'http', 'admin'] as const).flatMap((door) =>
    listen[door].filter(({ port }) => port !== 0).map((address) => ({ door, address })),
  );
  return Promise.all(doors.map(({ door, address }) => probePort(door, address, roots)));
}

async function probePort(
  door: 'https' | 'http' | 'admin',
  address: ListenAddress,
  roots: readonly X509Certificate[],
): Promise<PortFacts> {
  const { host, port, allow, fallbackPort } = address;
  const bound = await bind(host, port);
  const answers = bound === 'taken' ? await whoAnswers(door, reachable(host), port, roots) : 'nobody';
  const fellBack =
    fallbackPort !== undefined &&
    answers !== 'gateway' &&
    (await whoAnswers(door, reachable(host), fallbackPort, roots)) === 'gateway';
  const holder = bound === 'taken' ? await holderOf(port) : undefined;
  return {
    key: `listen.${door}`,
    host,
    port,
    bound,
    answers,
    restricted: allow !== undefined,
    ...(fallbackPort !== undefined && { fallbackPort, fellBack }),
    ...(holder && { holder }),
  };
}

/** An address at which a listener on this machine is found; one for IPv6 takes IPv4 as well, which every machine has. */
export function reachable(host: string): string {
  return host === '::' || host === '0.0.0.0' || host === 'localhost' ? '127.0.0.1' : host;
}

const OUTCOMES: Readonly<Record<string, string>> = { EADDRINUSE: 'taken', EACCES: 'forbidden', EPERM: 'forbidden' };

/** Takes the port for a moment. */
async function bind(host: string, port: number): Promise<PortFacts['bound']> {
  const server = createServer();
  const { promise, resolve } = Promise.withResolvers<string>();
  server.once('error', (error) => resolve('code' in error ? String(error.code) : error.message));
  server.listen({ host, port, exclusive: true }, () => server.close(() => resolve('free')));
  const outcome = await promise;
  if (host === '::' && (outcome === 'EAFNOSUPPORT' || outcome === 'EADDRNOTAVAIL')) return bind('0.0.0.0', port);
  return OUTCOMES[outcome] ?? outcome;
}

async function whoAnswers(
  door: 'https' | 'http' | 'admin',
  address: string,
  port: number,
  roots: readonly X509Certificate[],
): Promise<PortFacts['answers']> {
  if (door === 'https') {
    const { certificate, code } = await shakeHands({ address, port, name: 'localhost' });
    if (isSignedBy(certificate, roots)) return 'gateway';
    return certificate !== undefined || code?.startsWith('ERR_SSL_') ? 'other' : 'nobody';
  }
  const origin = `http://${authorityOf(address, port)}`;
  if (door === 'admin') return (await bounded(isAdmin(origin), false)) ? 'gateway' : 'other';
  const { roots: shown, error } = await introduce(origin);
  const ours = new Set(roots.map(({ fingerprint256 }) => fingerprint256));
  if (shown.some(({ fingerprint256 }) => ours.has(fingerprint256))) return 'gateway';
  return error === undefined ? 'other' : 'nobody';
}

async function isAdmin(origin: string): Promise<boolean> {
  return (await (await fetch(`${origin}/livez`)).text()) === 'ok\n';
}
