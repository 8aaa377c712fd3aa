import { type Finding, ok, problem, several, warning } from './finding.ts';

/** A program that pulls and runs on. */
export interface Daemon {
  readonly program: string;
  /** What systemd calls it. */
  readonly unit: string;
  /** Milliseconds since 1970. */
  readonly started: number;
}

export interface ClientsFacts {
  readonly daemons: readonly Daemon[];
  /** The system's bundle, where it holds the gateway's root, and when it changed last (milliseconds since 1970). */
  readonly bundle?: { readonly file: string; readonly changed: number };
  /** Whether a registry's name leads to the gateway on this machine. */
  readonly isLed: boolean;
  /** Where containerd is told of the gateway although it does not look there, and what its configuration lacks. */
  readonly unread?: { readonly directory: string; readonly lack: string };
}

/** Milliseconds by which the start of a process may be told too early: Linux counts from a whole second. */
const ROUNDED = 2_000;

/** Whether daemons use what was set up for them. */
export function judgeClients(facts: ClientsFacts): readonly Finding[] {
  const { daemons, bundle, isLed, unread } = facts;
  const early =
    bundle === undefined || !isLed ? [] : daemons.filter(({ started }) => started < bundle.changed - ROUNDED);
  const found = [
    ...early.map(({ program, unit }) =>
      warning(
        `${program} has been running since before ${bundle?.file} was changed`,
        'it reads the roots of the system once, and may not know the right one yet: x509: certificate signed by unknown authority',
        `sudo systemctl restart ${unit}`,
      ),
    ),
    ...(unread === undefined
      ? []
      : [
          problem(
            `containerd does not read ${unread.directory}, where the gateway stands`,
            'its pulls go past the gateway',
            unread.lack,
          ),
        ]),
  ];
  if (found.length > 0) return found;
  const running = daemons.map(({ program }) => program);
  return [ok(running.length === 0 ? 'no daemon that pulls runs here' : `nothing hinders ${several(running)}`)];
}
