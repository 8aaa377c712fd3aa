import { configure, type Finding, ok, problem, warning } from './finding.ts';

/** What is at an address that the gateway is to listen on. */
export interface PortFacts {
  /** Where it stands in the configuration. */
  readonly key: 'listen.https' | 'listen.http' | 'listen.admin';
  readonly host: string;
  readonly port: number;
  /** The port that is taken instead, where nobody wrote one, and whether the gateway answers there. */
  readonly fallbackPort?: number;
  readonly fellBack?: boolean;
  /** What comes of binding it: nothing hinders, somebody has it, this user may not, or the system's code. */
  readonly bound: 'free' | 'taken' | 'forbidden' | (string & {});
  /** Who answers there; somebody who has it may say nothing. */
  readonly answers: 'gateway' | 'other' | 'nobody';
  /** Only some networks are let in. */
  readonly restricted: boolean;
  /** The process that has it, where that can be seen. */
  readonly holder?: { readonly pid: number; readonly name: string };
}

/** Whether the gateway has its ports, or could have them. */
export function judgePorts(facts: readonly PortFacts[]): readonly Finding[] {
  return facts.length === 0 ? [ok('every port is chosen at the start')] : facts.flatMap(judgePort);
}

function judgePort(facts: PortFacts): Finding[] {
  const { key, host, port, bound, answers, restricted } = facts;
  if (answers === 'gateway') return [ok(`the gateway answers on port ${port}`)];
  if (bound === 'free' && facts.fellBack) return [fallen(facts)];
  if (bound === 'free') return [ok(`port ${port} is free`)];
  if (bound === 'taken') return restricted && answers === 'nobody' ? [closed(facts)] : [taken(facts)];
  if (bound === 'forbidden') return [forbidden(facts)];
  return [
    problem(
      `${host} port ${port} cannot be bound: ${bound}`,
      'the gateway does not start',
      configure(listen(key, port)),
    ),
  ];
}

function taken({ key, port, holder, fallbackPort, fellBack }: PortFacts): Finding {
  const by = holder === undefined ? 'another program' : `${holder.name} (process ${holder.pid})`;
  const stop =
    holder === undefined
      ? `find out who it is, and stop it: sudo ss -ltnp 'sport = :${port}'`
      : `stop it: sudo systemctl disable --now ${holder.name}`;
  const why =
    key === 'listen.https'
      ? `clients ask for registries on port 443 alone${fallbackPort ? `, and the gateway takes ${fallbackPort} instead` : ''}`
      : 'the gateway does not start';
  // With a program in front on purpose, that is as it should be.
  const say = fellBack ? warning : problem;
  return say(
    `port ${port} is taken by ${by}`,
    why,
    `${stop}; or ${configure(listen(key, port === 5000 ? 5001 : port + 8000))}`,
  );
}

/** The port was not to be had when the gateway was started. */
function fallen({ port, fallbackPort }: PortFacts): Finding {
  return warning(
    `the gateway answers on port ${fallbackPort} instead of ${port}`,
    `clients ask for registries on port ${port} alone`,
    `sudo sysctl -w net.ipv4.ip_unprivileged_port_start=${port}, and start the gateway again; or let something forward ${port} to ${fallbackPort}`,
  );
}

function listen(key: PortFacts['key'], port: number): string {
  return `${key.replace('.', ': { ')}: ":${port}" }`;
}

/** A gateway may well be there: it does not let this machine in. */
function closed({ key, port }: PortFacts): Finding {
  return warning(
    `somebody has port ${port}, and this machine is in no network of its allow`,
    'whether it is the gateway cannot be told from here',
    configure(`${key}: [{ address: ":${port}", allow: [127.0.0.0/8, …] }]`),
  );
}

function forbidden({ key, port, fallbackPort }: PortFacts): Finding {
  const say = fallbackPort === undefined ? problem : warning;
  return say(
    `this user may not listen on port ${port}`,
    fallbackPort === undefined
      ? `the gateway does not start (${key})`
      : `clients ask for registries on 443 alone, and the gateway takes ${fallbackPort} instead`,
    `sudo sysctl -w net.ipv4.ip_unprivileged_port_start=${port}; or give its unit AmbientCapabilities=CAP_NET_BIND_SERVICE`,
  );
}
