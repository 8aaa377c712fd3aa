import { join } from 'node:path';
import { stringify } from 'yaml';
import { GoPrograms } from '../../test/clients/go-programs.ts';
import { type Bed, type Kind, program, type Recipe, startProgram } from './server.ts';

const VERSION = 'v3.1.2';
const MODULE = 'github.com/distribution/distribution/v3';
const programs = new GoPrograms(VERSION, [`${MODULE}/cmd/registry`], `${MODULE}/version.version`);

/** Debian's docker-registry as a pull-through cache: distribution 2.8. */
export const dockerRegistry: Kind = {
  name: 'docker-registry',
  fills: true,
  isQuick: true,
  async lacks() {
    return program('docker-registry') === undefined ? 'not installed (apt-get install docker-registry)' : undefined;
  },
  start: (bed) => startProgram('docker-registry', bed, recipe(bed, program('docker-registry') ?? '')),
};

/** The same of today, which no Debian release has. */
export const distribution: Kind = {
  name: 'distribution',
  fills: true,
  isQuick: false,
  async lacks() {
    console.error(`building distribution ${VERSION}, unless it is there: minutes the first time …`);
    return programs.prepare().then(
      () => undefined,
      (reason: Error) => `Go cannot build ${MODULE}@${VERSION}: ${reason.message}`,
    );
  },
  start: (bed) => startProgram('distribution', bed, recipe(bed, programs.path('registry'))),
};

/** Descriptors in memory; no traces, which version 3 sends to somebody by default. */
function recipe({ dir, origin, caFile }: Bed, registry: string): (port: number) => Recipe {
  return (port) => {
    const configuration = {
      version: 0.1,
      log: { level: 'warn' },
      storage: { filesystem: { rootdirectory: join(dir, 'data') }, cache: { blobdescriptor: 'inmemory' } },
      http: { addr: `127.0.0.1:${port}`, tls: { certificate: join(dir, 'tls.crt'), key: join(dir, 'tls.key') } },
      proxy: { remoteurl: origin.url },
    };
    return {
      argv: [registry, 'serve', join(dir, 'config.yml')],
      files: { 'config.yml': stringify(configuration) },
      env: { SSL_CERT_FILE: caFile, OTEL_TRACES_EXPORTER: 'none' },
    };
  };
}
