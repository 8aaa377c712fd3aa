import type { ContainerdSetting } from './recipe.ts';

export const CONTAINERD_CONFIG = '/etc/containerd/config.toml';
const CERTS = '/etc/containerd/certs.d';

/** Tables of containerd's CRI plugin, in files of version 2 and 3. */
export const PATTERNS = {
  registry: '^[ \t]*\\[plugins\\.[^]]*cri[^]]*\\.registry\\][ \t]*(#.*)?$',
  older: '^[ \t]*\\[plugins\\.[^]]*cri[^]]*\\.registry\\.(mirrors|configs)\\.',
  path: '^[ \t]*config_path[ \t]*=[ \t]*["\']([^"\':]+)[^"\']*["\']',
  table: '^[ \t]*\\[',
  second: '^[ \t]*version[ \t]*=[ \t]*2[ \t]*(#.*)?$',
  third: '^[ \t]*version[ \t]*=[ \t]*3[ \t]*(#.*)?$',
  without: '^[ \t]*disabled_plugins[ \t]*=.*["\'](io\\.containerd\\.grpc\\.v1\\.)?cri["\']',
} as const;

export const SETTING = `[plugins."io.containerd.grpc.v1.cri".registry]\n  config_path = "${CERTS}"\n`;
export const FIRST_LINES = 'version = 2\n\n';

export const OLDER =
  'config.toml has registry.mirrors or registry.configs, and containerd reads no hosts.toml beside them: take those tables out, set config_path there, restart containerd';
export const UNSET = `for Kubernetes set config_path = "${CERTS}" in the registry table of the CRI plugin in config.toml and restart containerd: containerd 1.x reads no hosts.toml otherwise`;

/**
 * Where containerd reads `hosts.toml`, by its configuration and the first number of its version, as far as they are known. A
 * table that is not there is added; one that is there is a person's to change.
 */
export function containerdSetting(text: string | undefined, version: number | undefined): ContainerdSetting {
  const lines = (text ?? '').split('\n');
  const isBlank = lines.every((line) => line.trim() === '');
  const is = (pattern: string) => lines.some((line) => matcher(pattern).test(line));
  const path = pathIn(lines);
  if (is(PATTERNS.older)) return { certs: CERTS, remark: OLDER };
  if (path !== undefined) return { certs: path };
  if (is(PATTERNS.without) || is(PATTERNS.third) || (isBlank && version !== undefined && version > 1))
    return { certs: CERTS };
  if (is(PATTERNS.registry) || (isBlank ? version === undefined : !is(PATTERNS.second)))
    return { certs: CERTS, remark: UNSET };
  const content = isBlank ? FIRST_LINES + SETTING : SETTING;
  return { certs: CERTS, edit: { kind: 'block', path: CONTAINERD_CONFIG, content, clashes: [] } };
}

/** The first directory of `config_path` in the registry table. */
function pathIn(lines: readonly string[]): string | undefined {
  let isInside = false;
  for (const line of lines) {
    if (matcher(PATTERNS.table).test(line)) isInside = matcher(PATTERNS.registry).test(line);
    const found = isInside ? matcher(PATTERNS.path).exec(line)?.[1] : undefined;
    if (found !== undefined) return found;
  }
  return undefined;
}

/** In POSIX, `]` comes first in a bracket expression as it is. */
function matcher(pattern: string): RegExp {
  return new RegExp(pattern.replaceAll('[^]]', '[^\\]]'));
}
