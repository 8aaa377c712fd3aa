import { mkdir } from 'node:fs/promises';
import { GatewayProcess } from '../../test/support/gateway-process.ts';
import type { Bed, Kind, Server } from './server.ts';

/** Keys of the configuration beside those that every Layover of the bench has. */
export interface Settings {
  readonly gateway?: Readonly<Record<string, unknown>>;
  readonly upstream?: Readonly<Record<string, unknown>>;
}

/** Layover as a user starts it. */
export const layover: Kind = {
  name: 'layover',
  fills: true,
  isQuick: true,
  lacks: async () => undefined,
  start: (bed) => startLayover(bed),
};

/** Access log and metrics on, asked on the transparent door. */
export async function startLayover(
  { dir, origin, ca }: Bed,
  { gateway: keys = {}, upstream: settings = {} }: Settings = {},
): Promise<Server & { readonly readyAfter: number }> {
  await mkdir(dir, { recursive: true });
  const started = performance.now();
  const host = new URL(origin.url).host;
  const upstream = { url: origin.url, hosts: [host], ca, settings };
  const gateway = await GatewayProcess.start(dir, { 'docker.io': upstream }, keys);
  return {
    name: 'layover',
    pid: gateway.pid,
    target: { port: gateway.httpsPort, ca: await gateway.rootCertificate() },
    startTime: performance.now() - started,
    readyAfter: gateway.greeting.readyAfter,
    [Symbol.asyncDispose]: () => gateway.down(),
  };
}
