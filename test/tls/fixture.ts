import { createPrivateKey, generateKeyPairSync, type KeyObject, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ConnectionOptions, connect, type TLSSocket, type TlsOptions } from 'node:tls';
import type { ExecutionContext } from 'ava';
import type { Leaves } from '../../src/tls/leaves.ts';
import { openRoot, type Root } from '../../src/tls/root.ts';
import { keepFresh, tlsOptions } from '../../src/tls/server-options.ts';

export const day = 24 * 60 * 60 * 1000;

export async function temporaryDirectory(t: ExecutionContext): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'layover-tls-'));
  t.teardown(() => rm(directory, { recursive: true, force: true }));
  return directory;
}

/** A root for `registry.example`, `gateway.lan`, `localhost` and the given addresses. */
export async function temporaryRoot(t: ExecutionContext, ...ips: string[]): Promise<Root & { readonly dir: string }> {
  const dir = await temporaryDirectory(t);
  const permittedDns = ['registry.example', 'gateway.lan', 'localhost'];
  return { ...(await openRoot({ dir, permittedDns, permittedIps: ips })), dir };
}

export function certificateOf(pem: string): X509Certificate {
  return new X509Certificate(pem);
}

export async function keyOf(dir: string): Promise<KeyObject> {
  return createPrivateKey(await readFile(join(dir, 'ca.key'), 'utf8'));
}

/** A certificate that only a stolen root key could make: no question is asked about the names. */
export function issue(root: Root, ...names: string[]): { readonly cert: string; readonly key: string } {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
  return {
    cert: root.issueLeaf(names, publicKey).certificatePem,
    key: privateKey.export({ format: 'pem', type: 'pkcs8' }),
  };
}

/** An https server on a free port, made from these leaves or plain options. */
export async function serve(
  t: ExecutionContext,
  from: Leaves | TlsOptions,
): Promise<{ port: number; errors: Error[] }> {
  const leaves = 'own' in from ? (from as Leaves) : undefined;
  const server = createServer(
    leaves === undefined ? (from as TlsOptions) : tlsOptions(leaves),
    (_request, response) => {
      response.end('hello');
    },
  );
  if (leaves !== undefined) keepFresh(server, leaves);
  const errors: Error[] = [];
  server.on('tlsClientError', (error) => errors.push(error));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  return { port: (server.address() as AddressInfo).port, errors };
}

/** A finished handshake, or the error that ended it. */
export async function shake(options: ConnectionOptions): Promise<TLSSocket> {
  const socket = connect({ host: '127.0.0.1', ...options });
  try {
    await once(socket, 'secureConnect');
  } catch (error) {
    socket.destroy();
    throw error;
  }
  socket.end();
  return socket;
}

/** The names in the certificate that the server shows. */
export async function shownNames(options: ConnectionOptions): Promise<string> {
  const socket = await shake(options);
  return socket.getPeerX509Certificate()?.subjectAltName ?? '';
}
