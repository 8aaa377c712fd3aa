import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { type Bed, freePort, Program, program, type Server } from './server.ts';

/** Debian's docker-registry as a pull-through cache, its descriptors in memory. */
export async function startDockerRegistry({ dir, origin, ca, caFile, certificate }: Bed): Promise<Server | undefined> {
  const registry = program('docker-registry');
  if (registry === undefined) return undefined;
  await writeFile(join(dir, 'tls.crt'), certificate.cert);
  await writeFile(join(dir, 'tls.key'), certificate.key, { mode: 0o600 });
  const port = await freePort();
  const configuration = {
    version: 0.1,
    log: { level: 'warn' },
    storage: { filesystem: { rootdirectory: join(dir, 'data') }, cache: { blobdescriptor: 'inmemory' } },
    http: { addr: `127.0.0.1:${port}`, tls: { certificate: join(dir, 'tls.crt'), key: join(dir, 'tls.key') } },
    proxy: { remoteurl: origin.url },
  };
  await writeFile(join(dir, 'config.yml'), stringify(configuration));
  const argv = [registry, 'serve', join(dir, 'config.yml')];
  const running = new Program(argv, join(dir, 'output.log'), { SSL_CERT_FILE: caFile });
  const startTime = await running.listening(port);
  return {
    name: 'docker-registry',
    pid: running.pid,
    target: { port, ca },
    startTime,
    fills: true,
    [Symbol.asyncDispose]: () => running.stop(),
  };
}
