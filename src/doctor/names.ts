import { configure, type Finding, ok, problem, setUp, several, warning } from './finding.ts';

/** Where a name leads on this machine, as its programs see it. */
export interface NameFacts {
  readonly name: string;
  /** Addresses of the gateway. */
  readonly here: readonly string[];
  readonly elsewhere: readonly string[];
}

/** A name of a registry, and the key of its upstream. */
export interface RegistryName extends NameFacts {
  readonly registry: string;
}

export interface NamesFacts {
  /** As typed for `--gateway`, with the addresses found; absent on the gateway's own machine. */
  readonly gateway?: { readonly typed: string; readonly addresses: readonly string[] };
  /** Whether this machine can reach others by IPv6. */
  readonly hasIpv6: boolean;
  readonly names: readonly RegistryName[];
  /** Files in which clients name the gateway as a mirror. */
  readonly mirrors: readonly string[];
}

/** Whether the registries' names lead to the gateway, all of them and by IPv4 and IPv6 alike. */
export function judgeNames(facts: NamesFacts): readonly Finding[] {
  const { gateway, names } = facts;
  if (gateway?.addresses.length === 0)
    return [
      problem(
        `${gateway.typed} has no address on this machine`,
        'nothing here can find the gateway',
        `name it by its IP address (--gateway 192.0.2.10), or: echo '192.0.2.10 ${gateway.typed}' | sudo tee -a /etc/hosts`,
      ),
    ];
  const led = names.filter(({ here }) => here.length > 0);
  if (led.length === 0) return [judgeUnused(facts)];
  const found = [...bypasses(facts, led), ...torn(facts), ...left(facts)];
  return [...found, ok(`leading to the gateway: ${several(led.map(({ name }) => name))}`)];
}

function judgeUnused({ gateway, mirrors }: NamesFacts): Finding {
  if (mirrors.length > 0) return ok(`no registry's name leads to the gateway; it is a mirror in ${several(mirrors)}`);
  if (gateway === undefined)
    return ok(
      "no registry's name leads here on this machine itself; a client is looked at by layover doctor --gateway HOST there",
    );
  return problem(
    `no registry's name leads to ${gateway.typed}, and no client knows it as a mirror`,
    'every pull on this machine goes past the gateway',
    setUp('docker', gateway.typed),
  );
}

/** Names that lead to the gateway by one address and past it by another. */
function bypasses({ gateway, hasIpv6 }: NamesFacts, led: readonly RegistryName[]): Finding[] {
  const split = led.filter(({ elsewhere }) => elsewhere.length > 0);
  const six = split.filter(({ elsewhere }) => elsewhere.every((address) => address.includes(':')));
  const four = split.filter((name) => !six.includes(name));
  const address = gateway?.addresses[0] ?? led[0]?.here[0] ?? '';
  const fix = `${setUp('system', gateway?.typed, 'transparent')}; or, for a name server that gives no other address: layover names --format dnsmasq --address ${address} (or corefile)`;
  const told = (names: readonly RegistryName[]): string =>
    several(names.map(({ name, elsewhere }) => `${name} (${elsewhere[0]})`));
  return [
    ...(four.length === 0
      ? []
      : [problem(`${told(four)}: also another address is given`, 'some of the pulls go past the gateway', fix)]),
    ...(six.length === 0
      ? []
      : [
          (hasIpv6 ? problem : warning)(
            `${told(six)}: the registry's own IPv6 address is given beside the gateway's`,
            'clients with IPv6 prefer it and go past the gateway',
            fix,
          ),
        ]),
  ];
}

/** Registries of which some names lead to the gateway and others do not. */
function torn({ gateway, names }: NamesFacts): Finding[] {
  const registries = new Set(names.filter(({ here }) => here.length > 0).map(({ registry }) => registry));
  const missing = names.filter(({ registry, here }) => registries.has(registry) && here.length === 0);
  if (missing.length === 0) return [];
  const address = gateway?.addresses[0] ?? names.flatMap(({ here }) => here)[0] ?? '';
  const hosts = missing.map(({ name }) => name).join(' ');
  return [
    problem(
      `${several(missing.map(({ name }) => name))}: not led to the gateway, although other names of the same registry are`,
      'a client that uses them, for tokens too, asks the registry itself and may be refused',
      `echo '${address} ${hosts}' | sudo tee -a /etc/hosts (or the same in the network's name server)`,
    ),
  ];
}

/** Registries whose pulls go past the gateway. */
function left({ gateway, names, mirrors }: NamesFacts): Finding[] {
  const led = new Set(names.filter(({ here }) => here.length > 0).map(({ registry }) => registry));
  const without = [...new Set(names.map(({ registry }) => registry))].filter((registry) => !led.has(registry));
  if (without.length === 0 || mirrors.length > 0) return [];
  return [
    warning(
      `${several(without)}: no name leads to the gateway`,
      'their images are pulled past the cache',
      `${setUp('system', gateway?.typed, 'transparent')}; or ${configure(`upstreams: { ${without[0]}: null }`)}, which takes it out`,
    ),
  ];
}

/** Whether the gateway's own names, as configured, lead to it. */
export function judgeOwnNames(names: readonly NameFacts[]): readonly Finding[] {
  const wrong = names.filter(({ here, elsewhere }) => here.length === 0 && elsewhere.length > 0);
  const absent = names.filter(({ here, elsewhere }) => here.length === 0 && elsewhere.length === 0);
  return [
    ...wrong.map(({ name, elsewhere }) =>
      problem(
        `${name}, one of names, leads to ${several(elsewhere)}: no address of this machine`,
        'clients that use this name talk to another machine',
        `let it lead to this machine in the name server; or ${configure('names: [nas.lan]')}, the right one`,
      ),
    ),
    ...(absent.length === 0
      ? []
      : [
          warning(
            `${several(absent.map(({ name }) => name))}, of names, cannot be resolved here`,
            'clients can use the mirror door by a name only where that name resolves',
            `add it to the name server; or ${configure('names: [nas.lan, 192.0.2.10]')}, what clients use`,
          ),
        ]),
    ...(wrong.length + absent.length === names.length ? [] : [ok("the gateway's own names lead to it")]),
  ];
}
