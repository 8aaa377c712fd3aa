import { request as secureRequest } from 'node:https';
import { BlockList, isIP, type Socket } from 'node:net';

// Imported by name, it would load all of fetch and WebSocket.
const { request: plainRequest } = process.getBuiltinModule('node:http');

/** The egress proxy, as the environment variables of the same names say. */
export interface ProxySettings {
  readonly https?: string;
  readonly http?: string;
  readonly no?: string;
}

/** Reads HTTPS_PROXY, HTTP_PROXY and NO_PROXY; the lower-case spelling wins, as it does in curl. */
export function proxyFromEnvironment(env: Readonly<Record<string, string | undefined>>): ProxySettings {
  const [https, http, no] = ['https_proxy', 'http_proxy', 'no_proxy'].map((n) => env[n] || env[n.toUpperCase()]);
  return { ...(https && { https }), ...(http && { http }), ...(no && { no }) };
}

/** Decides per target whether a proxy stands in between; loopback never goes through one. */
export class Proxies {
  readonly #https: URL | undefined;
  readonly #http: URL | undefined;
  readonly #exceptions: readonly string[];

  /** Throws on a proxy that is not an http or https URL; the message does not repeat it. */
  constructor(settings: ProxySettings) {
    this.#https = proxyUrl('HTTPS_PROXY', settings.https);
    this.#http = proxyUrl('HTTP_PROXY', settings.http);
    this.#exceptions = (settings.no ?? '')
      .toLowerCase()
      .split(/[\s,]+/)
      .filter(Boolean);
  }

  for(host: string, port: number, secure: boolean): URL | undefined {
    const proxy = secure ? this.#https : this.#http;
    return proxy === undefined || isExcepted(host.toLowerCase(), port, this.#exceptions) ? undefined : proxy;
  }
}

function proxyUrl(name: string, text: string | undefined): URL | undefined {
  if (text === undefined) return undefined;
  const url = URL.parse(text.includes('://') ? text : `http://${text}`);
  if (url === null || !/^https?:$/.test(url.protocol)) throw new Error(`${name}: expected an http or https URL`);
  return url;
}

function isExcepted(host: string, port: number, exceptions: readonly string[]): boolean {
  if (host === 'localhost' || host.startsWith('127.') || host === '::1') return true;
  return exceptions.some((exception) => {
    if (exception === '*') return true;
    if (exception.includes('/')) return isWithin(host, exception);
    if (isIP(exception) !== 0) return exception === host;
    const [, name = '', only] = /^(.*?)(?::(\d+))?$/.exec(exception) ?? [];
    if (only !== undefined && Number(only) !== port) return false;
    const domain = name.replace(/^\*?\./, '').replace(/^\[(.*)\]$/, '$1');
    return host === domain || host.endsWith(`.${domain}`);
  });
}

function isWithin(host: string, cidr: string): boolean {
  const [network = '', prefix = ''] = cidr.split('/');
  const family = isIP(network);
  if (family === 0 || isIP(host) !== family || !/^\d{1,3}$/.test(prefix)) return false;
  if (Number(prefix) > (family === 6 ? 128 : 32)) return false;
  const list = new BlockList();
  const type = family === 6 ? 'ipv6' : 'ipv4';
  list.addSubnet(network, Number(prefix), type);
  return list.check(host, type);
}

/** A connection through `proxy` to `host:port` (RFC 9110 §9.3.6). The proxy's own name is the system's to resolve. */
export function tunnel(proxy: URL, host: string, port: number, signal: AbortSignal): Promise<Socket> {
  const target = `${isIP(host) === 6 ? `[${host}]` : host}:${port}`;
  const account = `${decodeURIComponent(proxy.username)}:${decodeURIComponent(proxy.password)}`;
  const authorization = `Basic ${Buffer.from(account).toString('base64')}`;
  const headers = { host: target, ...(account !== ':' && { 'proxy-authorization': authorization }) };
  const send = proxy.protocol === 'https:' ? secureRequest : plainRequest;
  const { promise, resolve, reject } = Promise.withResolvers<Socket>();
  const address = { host: proxy.hostname.replace(/^\[(.*)\]$/, '$1'), ...(proxy.port !== '' && { port: proxy.port }) };
  const connect = send({ ...address, method: 'CONNECT', path: target, headers, agent: false, signal });
  connect.once('connect', (response, socket, head) => {
    if (response.statusCode === 200) {
      if (head.length > 0) socket.unshift(head);
      resolve(socket as Socket);
    } else {
      socket.destroy();
      reject(new Error(`the egress proxy answered ${response.statusCode}`));
    }
  });
  connect.once('response', (response) => {
    response.destroy();
    reject(new Error(`the egress proxy answered ${response.statusCode}`));
  });
  connect.once('error', reject);
  connect.end();
  return promise;
}
