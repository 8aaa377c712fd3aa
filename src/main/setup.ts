import { isIP } from 'node:net';
import type { Config } from '../config/config.ts';
import type { PageMaker } from '../gateway/pages.ts';
import { RegistryError } from '../oci/error.ts';
import { type Gateway, registriesOf, rootsIn } from '../setup/gateway.ts';
import { type Instructions, instructions } from '../setup/instructions.ts';
import { setupScript } from '../setup/script.ts';
import type { Identity } from '../tls/identity.ts';

/** How clients are told to set themselves up, by the name that they reach us by. */
export interface Setup {
  readonly instructions: (origin: string) => readonly Instructions[];
  readonly script: PageMaker;
}

export function openSetup(
  config: Pick<Config, 'listen' | 'upstreams'>,
  identity: Pick<Identity, 'rootCertificates'>,
): Setup {
  const registries = registriesOf(config);
  const gatewayAt = (origin: string): Gateway | undefined => {
    const reached = reachedBy(origin, config.listen.http[0].port);
    return reached && { ...reached, registries, roots: rootsIn(identity.rootCertificates) };
  };
  return {
    instructions: (origin) => {
      const gateway = gatewayAt(origin);
      return gateway === undefined ? [] : instructions(gateway);
    },
    script: ({ origin }) => {
      const gateway = gatewayAt(origin);
      if (gateway === undefined) throw new RegistryError('UNSUPPORTED', 'no such host name', { status: 400 });
      return { contentType: 'text/x-shellscript; charset=utf-8', body: setupScript(gateway) };
    },
  };
}

/** What a client sent as Host stands in command lines and in the script, so that nothing else than a name may. */
const NAME = /^(?:[a-z\d](?:[a-z\d.-]*[a-z\d])?|\[[\da-f:.]+\])$/;

function reachedBy(origin: string, plain: number): Pick<Gateway, 'host' | 'port' | 'address'> | undefined {
  const { protocol, hostname: host, port } = new URL(origin);
  if (!NAME.test(host)) return undefined;
  const bare = host.replace(/^\[|\]$/g, '');
  const address = host === 'localhost' ? '127.0.0.1' : isIP(bare) === 0 ? `(the address of ${host})` : bare;
  return { host, port: protocol === 'http:' ? Number.parseInt(port || '80', 10) : plain, address };
}
