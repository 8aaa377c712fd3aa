import { type Finding, ok, problem, warning } from './finding.ts';

/** What the admin listener of a running gateway says; `undefined` where nothing answers. */
export interface ReadinessFacts {
  readonly admin: string;
  readonly ready?: { readonly status: number; readonly lines: readonly string[] };
}

/** Whether a gateway runs and what it wants its operator to know. */
export function judgeReadiness({ admin, ready }: ReadinessFacts): readonly Finding[] {
  if (ready === undefined)
    return [warning(`no gateway answers at http://${admin}`, 'what runs cannot be looked at', 'start it: npm start')];
  if (ready.status !== 200)
    return [
      problem(
        `the gateway at http://${admin} is not ready (${ready.status})`,
        'it is starting, or finishing its last answers, and takes no new ones',
        `wait a moment and ask again: curl http://${admin}/readyz`,
      ),
    ];
  const warnings = ready.lines.filter((line) => line.startsWith('warning: '));
  return [
    ok(
      `the gateway is ready${ready.lines.flatMap((line) => /^processes: .*/.exec(line) ?? []).map((line) => `, ${line}`)}`,
    ),
    ...warnings.map((line) =>
      warning(line.slice('warning: '.length), 'the running gateway says so', 'docs/operations.md says what to do'),
    ),
  ];
}

/** What a client machine sees of the plain listener. */
export interface ReachFacts {
  /** `host:port` as typed. */
  readonly gateway: string;
  /** Fingerprint of the root that it gives out. */
  readonly fingerprint?: string;
  readonly error?: string;
}

/** The system found no address for a name. */
const NAMELESS: ReadonlySet<string> = new Set(['ENOTFOUND', 'EAI_AGAIN']);

/** Whether the gateway is reached from a client. */
export function judgeReach({ gateway, fingerprint, error }: ReachFacts): readonly Finding[] {
  if (fingerprint !== undefined)
    return [ok(`the gateway answers at http://${gateway}, its root CA is SHA-256 ${fingerprint}`)];
  const port = gateway.slice(gateway.lastIndexOf(':') + 1);
  return error === undefined
    ? [
        problem(
          `what answers at http://${gateway} is no gateway`,
          'clients ask the wrong program',
          'name the address and the port of listen.http: layover doctor --gateway HOST:PORT',
        ),
      ]
    : [
        problem(
          `no gateway answers at http://${gateway}: ${error}`,
          'this machine cannot pull through it',
          NAMELESS.has(error)
            ? 'name it by its IP address: layover doctor --gateway 192.0.2.10'
            : `on the gateway: layover doctor, and open its ports: sudo ufw allow 443/tcp; sudo ufw allow ${port}/tcp`,
        ),
      ];
}
