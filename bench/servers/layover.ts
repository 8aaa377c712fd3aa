import { GatewayProcess } from '../../test/support/gateway-process.ts';
import type { Bed, Server } from './server.ts';

/** Layover as a user starts it, access log and metrics on, asked on the transparent door. */
export async function startLayover({ dir, origin, ca }: Bed): Promise<Server & { readonly readyAfter: number }> {
  const started = performance.now();
  const host = new URL(origin.url).host;
  const gateway = await GatewayProcess.start(dir, { 'docker.io': { url: origin.url, hosts: [host], ca } });
  const kill = (): void => void gateway.down('SIGKILL');
  process.once('exit', kill);
  return {
    name: 'layover',
    pid: gateway.pid,
    target: { port: gateway.httpsPort, ca: await gateway.rootCertificate() },
    startTime: performance.now() - started,
    readyAfter: gateway.greeting.readyAfter,
    fills: true,
    async [Symbol.asyncDispose]() {
      process.off('exit', kill);
      await gateway.down();
    },
  };
}
