import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { Config } from '../config/config.ts';
import { publish } from '../events.ts';
import { type Layover, startLayover } from '../main.ts';

/** Milliseconds that running answers get after a SIGTERM. */
const DRAIN = 30_000;

const NOT_443 = `(clients ask for them on port 443 alone: forward it to the https port above, or let this start have it by
  sudo sysctl -w net.ipv4.ip_unprivileged_port_start=443)`;

/** Runs the gateway until a signal ends it. */
export async function start(load: () => Promise<Config>, json: boolean): Promise<number> {
  const config = await load();
  const layover = await startLayover(config, process.env);
  process.on('SIGUSR2', () => layover.reopenLogs());
  let reloading = Promise.resolve();
  process.on('SIGHUP', () => {
    reloading = reloading.then(() => reload(layover, load));
  });
  const end = ended();
  // Who reads this may send signals from now on.
  process.stdout.write(json ? `${JSON.stringify(describe(config, layover))}\n` : greeting(config, layover));
  const signal = await end;
  publish('notice', { level: 'info', message: `${signal}: finishing what runs, for at most ${DRAIN / 1000} s` });
  await layover.close(DRAIN);
  return 0;
}

/** Reads the configuration again; one with mistakes changes nothing. */
async function reload(layover: Layover, load: () => Promise<Config>): Promise<void> {
  try {
    const { applied, pending } = await layover.reload(await load());
    const changed = applied.length === 0 ? 'nothing else than before' : applied.join(', ');
    publish('notice', { level: 'info', message: `SIGHUP: the configuration was read again: ${changed}` });
    if (pending.length === 0) return;
    publish('notice', { level: 'warn', message: `changed, but in effect only after a restart: ${pending.join(', ')}` });
  } catch (error) {
    const message = 'SIGHUP: the configuration cannot be used, and the one before stays';
    publish('notice', { level: 'error', message, error });
  }
}

/** A second signal does not wait. */
function ended(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      process.once(signal, () => {
        resolve(signal);
        process.once(signal, () => process.exit(1));
      });
    }
  });
}

function describe(config: Config, { addresses, root }: Layover): object {
  return {
    https: authority(addresses.https[0]),
    http: authority(addresses.http[0]),
    ...(addresses.admin !== undefined && { admin: authority(addresses.admin[0]) }),
    ca: { file: join(config.certs.dir, 'ca.crt'), fingerprint: root.fingerprint },
    readyAfter: Math.round(performance.now()),
  };
}

function greeting(config: Config, { addresses, root }: Layover): string {
  const { https, http, admin } = addresses;
  const presented = Object.values(config.upstreams).flatMap(({ hosts, authHosts }) => [...hosts, ...authHosts]);
  return `layover is ready after ${Math.round(performance.now())} ms

  https  ${authorities(https)}  the registries' own names
  http   ${authorities(http)}  mirror and path; the root CA at /ca.crt
${admin === undefined ? '' : `  admin  ${authorities(admin)}  /livez /readyz /metrics\n`}  data   ${config.storage.root}
  CA     ${join(config.certs.dir, 'ca.crt')}
         SHA-256 ${root.fingerprint}

next: trust the CA on each client, then let these names lead to this machine (DNS or /etc/hosts):
  ${presented.join(' ')}
${https.some(({ port }) => port === 443) ? '' : `${NOT_443}\n`}or try it at once, with nothing set up:
  docker pull localhost:${http[0].port}/docker.io/library/alpine
how to, for each client: docs/clients.md
`;
}

function authorities(addresses: readonly AddressInfo[]): string {
  return addresses.map(authority).join(', ');
}

/** `host:port` as a URL spells it. */
function authority({ address, port }: AddressInfo): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}
