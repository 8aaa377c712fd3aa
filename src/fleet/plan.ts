import type { Config, ListenAddress } from '../config/config.ts';

/** What a supervisor has to know of a configuration, which its workers load. */
export interface Plan {
  readonly processes: number;
  /** Absolute path of the data directory. */
  readonly root: string;
  readonly level: Config['log']['level'];
  /** Every address, in the order in which workers get their descriptors: https, http, admin. */
  readonly listen: readonly ListenAddress[];
  /** The file that it was made of. */
  readonly text: string;
}

export function planOf({ processes, storage, log, listen }: Config, text: string): Plan {
  return {
    processes,
    root: storage.root,
    level: log.level,
    listen: [...listen.https, ...listen.http, ...listen.admin],
    text,
  };
}

/** The addresses of a configuration with the descriptors that stand for them, in the order of {@link Plan.listen}. */
export function withDescriptors(
  { https, http, admin, proxies }: Config['listen'],
  descriptors: readonly number[],
): Config['listen'] {
  const rest = descriptors.values();
  const each = ([first, ...others]: Config['listen']['https']): Config['listen']['https'] => {
    const one = (address: ListenAddress): ListenAddress => ({ ...address, descriptor: next() });
    return [one(first), ...others.map(one)];
  };
  const next = (): number => {
    const { value } = rest.next();
    if (value === undefined) throw new Error('the addresses of the configuration are not those of the supervisor');
    return value;
  };
  return { https: each(https), http: each(http), admin: each(admin), proxies };
}
