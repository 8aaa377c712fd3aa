/** What a check has found out; `why` it matters and, in `fix`, what exactly to type. */
export type Finding =
  | { readonly status: 'ok'; readonly message: string }
  | {
      /** A problem breaks something, a warning may. */
      readonly status: 'warning' | 'problem';
      readonly message: string;
      readonly why: string;
      readonly fix: string;
    };

/** One thing that is looked at. */
export interface Check {
  readonly name: string;
  readonly find: () => Promise<readonly Finding[]>;
}

export function ok(message: string): Finding {
  return { status: 'ok', message };
}

export function warning(message: string, why: string, fix: string): Finding {
  return { status: 'warning', message, why, fix };
}

export function problem(message: string, why: string, fix: string): Finding {
  return { status: 'problem', message, why, fix };
}

/** Those that may be led to the gateway by name, and then have to trust its root. */
const TRUSTING: ReadonlySet<string> = new Set(['system', 'docker']);

/** The command that sets a client up, on the machine where it is typed. */
export function setUp(client: string, gateway: string | undefined, mode?: 'transparent'): string {
  const isPinned = gateway !== undefined && TRUSTING.has(client);
  const options = [
    ...(gateway === undefined ? [] : ['--gateway', gateway]),
    ...(isPinned ? ['--fingerprint', 'SHA256'] : []),
    ...(mode ? ['--mode', mode] : []),
  ];
  const command = ['layover setup', client, ...options, '--apply'].join(' ');
  return isPinned ? `${command} (SHA256: what layover ca fingerprint says there)` : command;
}

/** What belongs into the gateway's configuration. */
export function configure(yaml: string): string {
  return `in the gateway's configuration: ${yaml}`;
}

/** The first of many, and how many more there are. */
export function several(items: readonly string[], most = 4): string {
  const rest = items.length - most;
  return rest > 1 ? `${items.slice(0, most).join(', ')} and ${rest} more` : items.join(', ');
}
