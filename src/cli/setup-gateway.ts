import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import type { Config } from '../config/config.ts';
import { type Gateway, type Root, registriesOf, rootsIn, urlOf } from '../setup/gateway.ts';
import { Unsuitable } from '../setup/unsuitable.ts';
import { readRoot } from '../tls/root.ts';

export interface GatewayOptions {
  /** `host[:port]`. */
  readonly gateway?: string | undefined;
  /** One setting for every registry there is, where a client knows that. */
  readonly default?: boolean | undefined;
  /** SHA-256 of the roots that are to be trusted, colons or not. */
  readonly fingerprint?: readonly string[] | undefined;
}

/** Where the gateway is and what it serves; its address and its roots are only looked for by {@link identified}. */
export function gatewayNamed({ gateway, default: isDefault = false }: GatewayOptions, config: Config): Gateway {
  const { host, port } = gateway === undefined ? ownAddress(config) : parsed(gateway, config);
  return { host, port, address: '', registries: registriesOf(config), isDefault, roots: [] };
}

/** On the machine of the gateway itself. */
function ownAddress({ listen }: Config): { readonly host: string; readonly port: number } {
  const [{ host, port }] = listen.http;
  const isEverywhere = ['::', '0.0.0.0', '', 'localhost'].includes(host);
  return { host: isEverywhere ? '127.0.0.1' : bracketed(host), port };
}

function parsed(text: string, { listen }: Config): { readonly host: string; readonly port: number } {
  const [, host = '', port] = /^(\[[\da-f:.]+\]|[a-z\d](?:[a-z\d.-]*[a-z\d])?)(?::(\d{1,5}))?$/i.exec(text) ?? [];
  if (isIP(text) === 6) return { host: bracketed(text), port: listen.http[0].port };
  if (host === '') throw new Unsuitable(`--gateway ${text}: expected HOST or HOST:PORT of its plain listener`);
  return { host: host.toLowerCase(), port: port === undefined ? listen.http[0].port : Number.parseInt(port, 10) };
}

/** With its address, and the roots that are to be trusted: those pinned, or those of this machine. */
export async function identified(gateway: Gateway, options: GatewayOptions, config: Config): Promise<Gateway> {
  const pins = (options.fingerprint ?? []).map(pinned);
  const [address, roots] = [
    await addressOf(gateway.host),
    pins.length === 0 ? await ownRoots(config) : await fetchedRoots(gateway, pins),
  ];
  return { ...gateway, address, roots };
}

async function addressOf(host: string): Promise<string> {
  const bare = host.replace(/^\[|\]$/g, '');
  if (isIP(bare) !== 0) return bare;
  try {
    return (await lookup(bare)).address;
  } catch (cause) {
    throw new Unsuitable(`--gateway ${host}: no address found for that name; give an address instead`, { cause });
  }
}

async function ownRoots({ certs }: Config): Promise<readonly Root[]> {
  const roots = [await readRoot(certs.dir, 'ca'), await readRoot(certs.dir, 'next')].filter(
    (root) => root !== undefined,
  );
  if (roots.length > 0) return roots.flatMap(({ certificatePem }) => rootsIn(certificatePem));
  throw new Unsuitable(
    `there is no root CA in ${certs.dir}: start the gateway once if it is to run here; if it runs elsewhere, add --gateway HOST --fingerprint SHA256 (there: layover ca fingerprint)`,
  );
}

const MOST = 256 * 1024;

/** Of what the gateway offers, without encryption, only what was pinned. */
async function fetchedRoots(gateway: Gateway, pins: readonly string[]): Promise<readonly Root[]> {
  const url = `${urlOf(gateway)}/ca.crt`;
  const text = await fetched(url);
  const offered = rootsIn(text);
  const missing = pins.find((pin) => !offered.some(({ fingerprint }) => pinned(fingerprint) === pin));
  if (missing === undefined) return offered.filter(({ fingerprint }) => pins.includes(pinned(fingerprint)));
  throw new Unsuitable(
    `${url} offers ${offered.map(({ fingerprint }) => fingerprint).join(', ') || 'no certificate'}, which is not what --fingerprint says: compare with "layover ca fingerprint" on the gateway`,
  );
}

async function fetched(url: string): Promise<string> {
  try {
    const answer = await fetch(url, { signal: AbortSignal.timeout(10_000), redirect: 'error' });
    if (!answer.ok) throw new Error(`it answers ${answer.status}`);
    return (await answer.text()).slice(0, MOST);
  } catch (cause) {
    const reason = cause instanceof Error ? (cause.cause instanceof Error ? cause.cause.message : cause.message) : '';
    throw new Unsuitable(`${url} cannot be fetched: ${reason}`, { cause });
  }
}

function pinned(fingerprint: string): string {
  const digits = fingerprint.replaceAll(':', '').toUpperCase();
  if (/^[\dA-F]{64}$/.test(digits)) return digits;
  throw new Unsuitable(`--fingerprint ${fingerprint}: expected the 64 hexadecimal digits of a SHA-256`);
}

function bracketed(host: string): string {
  return isIP(host) === 6 ? `[${host}]` : host;
}
