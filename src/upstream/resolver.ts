import { promises as dns } from 'node:dns';
import { isIP } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { isHostName } from './address.ts';
import { systemServers } from './name-servers.ts';

export interface Address {
  readonly address: string;
  readonly family: 4 | 6;
}

interface Entry {
  readonly addresses: readonly Address[];
  /** Milliseconds of the monotonic clock. */
  readonly freshUntil: number;
}

const SHORTEST = 5_000;
const LONGEST = 60_000;
/** How long a known answer waits for a newer one, and IPv4 for IPv6. */
const PATIENCE = 400;
const LIMIT = 1_000;

const LOOPBACK: readonly Address[] = [
  { address: '127.0.0.1', family: 4 },
  { address: '::1', family: 6 },
];

/**
 * Asks name servers itself, so that a hosts file which sends registry names here does not send us to ourselves. An
 * answer lives as long as its TTL (5 s to 60 s) and, while no name server answers, as long as that lasts.
 */
export class Resolver {
  readonly #pins: ReadonlyMap<string, readonly Address[]>;
  readonly #dns = new dns.Resolver({ timeout: 2_000, tries: 2 });
  readonly #known = new Map<string, Entry>();
  readonly #flights = new Map<string, Promise<readonly Address[]>>();
  readonly #now: () => number;

  /** `now` is a monotonic clock in milliseconds. */
  constructor(
    servers: readonly string[],
    pins: Readonly<Record<string, readonly string[]>>,
    now: () => number = () => performance.now(),
  ) {
    this.#now = now;
    this.#dns.setServers(servers.length > 0 ? servers : systemServers());
    this.#pins = new Map(
      Object.entries(pins).map(([name, addresses]) => [name.toLowerCase(), addresses.map(asAddress)]),
    );
  }

  /** Every address of `host`, IPv4 first; an IP address is its own. Throws the resolver's error when there is none. */
  async resolve(host: string): Promise<readonly Address[]> {
    const name = host.toLowerCase();
    const pinned = this.#pins.get(name);
    if (pinned !== undefined) return pinned;
    if (isIP(name) !== 0) return [asAddress(name)];
    if (name === 'localhost') return LOOPBACK;
    if (!isHostName(name)) throw Object.assign(new Error(`not a host name: ${name}`), { code: 'ENOTFOUND' });
    const entry = this.#known.get(name);
    if (entry === undefined) return this.#ask(name);
    if (entry.freshUntil > this.#now()) return entry.addresses;
    return Promise.race([this.#ask(name), sleep(PATIENCE, entry.addresses, { ref: false })]);
  }

  #ask(name: string): Promise<readonly Address[]> {
    const running = this.#flights.get(name);
    if (running !== undefined) return running;
    const flight = this.#query(name).finally(() => this.#flights.delete(name));
    flight.catch(() => {});
    this.#flights.set(name, flight);
    return flight;
  }

  async #query(name: string): Promise<readonly Address[]> {
    try {
      const { addresses, ttl } = await this.#lookUp(name);
      return this.#keep(name, addresses, Math.min(Math.max(ttl * 1_000, SHORTEST), LONGEST));
    } catch (error) {
      const known = this.#known.get(name);
      if (known === undefined || isAnswer(error)) throw error;
      return this.#keep(name, known.addresses, SHORTEST);
    }
  }

  async #lookUp(name: string): Promise<{ readonly addresses: readonly Address[]; readonly ttl: number }> {
    const ipv4 = this.#dns.resolve4(name, { ttl: true });
    const ipv6 = this.#dns.resolve6(name, { ttl: true });
    // Name servers that drop AAAA questions must not hold up what IPv4 can do.
    const hurried = Promise.race([ipv6, ipv4.then(() => sleep(PATIENCE, [], { ref: false }))]);
    const [four, six] = await Promise.allSettled([ipv4, hurried]);
    ipv6.catch(() => {});
    const records = [four, six].flatMap((result) => (result.status === 'fulfilled' ? result.value : []));
    if (records.length > 0) {
      return { addresses: records.map((r) => asAddress(r.address)), ttl: Math.min(...records.map((r) => r.ttl)) };
    }
    throw four.status === 'rejected' ? four.reason : new Error(`no address for ${name}`);
  }

  #keep(name: string, addresses: readonly Address[], life: number): readonly Address[] {
    this.#known.delete(name);
    this.#known.set(name, { addresses, freshUntil: this.#now() + life });
    for (const oldest of this.#known.keys()) {
      if (this.#known.size <= LIMIT) break;
      this.#known.delete(oldest);
    }
    return addresses;
  }
}

function asAddress(address: string): Address {
  return { address, family: isIP(address) === 6 ? 6 : 4 };
}

/** A name server said that there is nothing, as opposed to saying nothing. */
function isAnswer(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ENOTFOUND' || error.code === 'ENODATA');
}
