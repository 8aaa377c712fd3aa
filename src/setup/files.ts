import type { Clash, Edit } from './edit.ts';
import { authorityOf, type Gateway, type Registry, urlOf } from './gateway.ts';
import { buildkitToml, hostsLines, hostsToml, k3sMirrors, registriesConf } from './settings.ts';

/** A `hosts.toml` below a `certs.d` for each registry, or one for all of them. */
export function hostsFiles(gateway: Gateway, certs: string): readonly Edit[] {
  if (gateway.isDefault === true)
    return [{ kind: 'file', path: `${certs}/_default/hosts.toml`, content: hostsToml(gateway) }];
  return gateway.registries.map((registry) => ({
    kind: 'file',
    path: `${certs}/${registry.name}/hosts.toml`,
    content: hostsToml(gateway, registry),
  }));
}

/** Entries of a file in this directory take the place of those with the same name in the main one, so nobody's may be there. */
export function podmanFile(gateway: Gateway): Edit {
  const entries = gateway.registries.map(
    ({ name, namespace }): Clash => ({
      pattern: `^[ \t]*(location|prefix)[ \t]*=[ \t]*["']${escaped(name)}["']`,
      advice: `it has a [[registry]] for ${name} already: add a [[registry.mirror]] with location = "${authorityOf(gateway)}/${namespace}" and insecure = true to it, or take it out`,
    }),
  );
  const old = {
    pattern: '^[ \t]*\\[registries\\.',
    advice:
      'it is of the first version, which cannot be mixed: rewrite it with unqualified-search-registries and [[registry]]',
  };
  return {
    kind: 'file',
    path: '/etc/containers/registries.conf.d/layover.conf',
    content: registriesConf(gateway),
    beside: { path: '/etc/containers/registries.conf', clashes: [...entries, old] },
  };
}

/** The names of these registries in the hosts file. */
export function hostsBlock(gateway: Gateway, registries: readonly Registry[]): Edit {
  const clashes = registries.map(({ name, hosts }): Clash => {
    const names = hosts.map(escaped).join('|');
    return {
      pattern: `^[^#]*[ \t](${names})([ \t#]|$)`,
      advice: `it names ${name} already: take that line out first`,
    };
  });
  return { kind: 'block', path: '/etc/hosts', content: hostsLines(gateway, registries), clashes };
}

/** Mirrors of k3s, which makes `hosts.toml` of them. */
export function k3sBlock(gateway: Gateway, directory: string): Edit {
  const names = gateway.isDefault === true ? ['*'] : gateway.registries.map(({ name }) => name);
  const clashes = names.map(
    (name): Clash => ({
      pattern: `^[ \t]+["']?${escaped(name)}["']?[ \t]*:`,
      below: 'mirrors',
      advice: `it has ${name} already: add "${urlOf(gateway)}" in front of its endpoints yourself, or take it out`,
    }),
  );
  const flow = {
    pattern: '^mirrors[ \t]*:[ \t]*[^ \t#]',
    advice: 'mirrors: is not written as a block, one registry a line: rewrite it, or add the endpoints yourself',
  };
  return {
    kind: 'block',
    path: `${directory}/registries.yaml`,
    content: k3sMirrors(gateway),
    below: 'mirrors',
    clashes: [...clashes, flow],
  };
}

/** Mirrors of a builder; each registry has a table of its own. */
export function buildkitBlock(gateway: Gateway): Edit {
  const authority = authorityOf(gateway);
  const mirrors = gateway.registries.map(
    ({ name }): Clash => ({
      pattern: `^[ \t]*\\[?[ \t]*registry[ \t]*\\.[ \t]*["']${escaped(name)}["']`,
      advice: `it has a [registry."${name}"] already: add "${authority}" to its mirrors yourself, or take it out`,
    }),
  );
  const inline = {
    pattern: '^[ \t]*(registry[ \t]*=|\\[[ \t]*registry[ \t]*\\])',
    advice: 'its registries stand in one table: give each a [registry."name"] of its own first',
  };
  const content = buildkitToml(gateway);
  return { kind: 'block', path: '/etc/buildkit/buildkitd.toml', content, clashes: [...mirrors, inline] };
}

function escaped(name: string): string {
  return name.replace(/[.*]/g, '\\$&');
}
