import { authorityOf, type Gateway, type Registry, urlOf } from './gateway.ts';

/** `certs.d/<registry>/hosts.toml`, as containerd and docker's containerd store read it; without a registry that of `_default`. */
export function hostsToml(gateway: Gateway, registry?: Registry): string {
  const server = registry === undefined ? '' : `server = "${registry.server}"\n\n`;
  return `${server}[host."${urlOf(gateway)}"]
  capabilities = ["pull", "resolve"]
`;
}

/** `registries.conf.d/layover.conf`: these clients send no `ns`, so the registry stands in the path. */
export function registriesConf(gateway: Gateway): string {
  const entries = gateway.registries.map(
    ({ name, namespace }) => `[[registry]]
location = "${name}"

[[registry.mirror]]
location = "${authorityOf(gateway)}/${namespace}"
insecure = true
`,
  );
  return entries.join('\n');
}

/** What belongs into `buildkitd.toml`. */
export function buildkitToml(gateway: Gateway): string {
  const authority = authorityOf(gateway);
  const mirrors = gateway.registries.map(
    ({ name }) => `[registry."${name}"]
  mirrors = ["${authority}"]
`,
  );
  return [...mirrors, `[registry."${authority}"]\n  http = true\n`].join('\n');
}

/** What stands below `mirrors:` in `registries.yaml`. */
export function k3sMirrors(gateway: Gateway): string {
  const names = gateway.isDefault === true ? ['*'] : gateway.registries.map(({ name }) => name);
  return names.map((name) => `"${name}":\n  endpoint: ["${urlOf(gateway)}"]\n`).join('');
}

/** Lines of a hosts file, one per registry. */
export function hostsLines({ address }: Pick<Gateway, 'address'>, registries: readonly Registry[]): string {
  return registries.map(({ hosts }) => `${address} ${hosts.join(' ')}\n`).join('');
}
