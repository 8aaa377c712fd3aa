import { HOOKS, RELOADS, RESTARTS, SYSTEMD, tellHooks } from './commands.ts';
import { FIRST_LINES, OLDER, PATTERNS, SETTING, UNSET } from './containerd.ts';
import type { Edit } from './edit.ts';
import { type Gateway, urlOf } from './gateway.ts';
import {
  CLIENTS,
  type Client,
  MODES,
  type Mode,
  NO_TRUST,
  type Recipe,
  recipeOf,
  type Surroundings,
} from './recipe.ts';
import { SCRIPT_APPLY } from './script-apply.ts';
import { SCRIPT_AWK } from './script-awk.ts';
import { SCRIPT_MAIN } from './script-main.ts';
import { SCRIPT_PLAN } from './script-plan.ts';
import { K3S, RKE2 } from './survey.ts';
import { TRUST_STORES } from './trust.ts';
import { Unsuitable } from './unsuitable.ts';

/** What only the machine knows, as the script's variables. */
const TRUST = '$TRUST';
const CERTS = '$CERTS';
const ADDRESS = '$ADDRESS';
const RANCHER = '$RANCHER';
const ROOTS = '$ROOTS';

/**
 * A POSIX shell script that does on a machine without Layover what the command does there: the same recipes, the same
 * files, the same journal. It fetches the root CA from the gateway and takes it only with the fingerprint that it is given.
 */
export function setupScript(gateway: Pick<Gateway, 'host' | 'port' | 'registries'>): string {
  return `#!/bin/sh
# Makes this machine pull through the gateway at ${urlOf(gateway)}.
set -eu
umask 022
LC_ALL=C
export LC_ALL
URL=${quoted(urlOf(gateway))}
HOST=${quoted(gateway.host)}
CLIENTS=${quoted(CLIENTS.join(' '))}

${SCRIPT_PLAN}
${SCRIPT_AWK}
${SCRIPT_APPLY}
${surveyOf()}
${containerdFunctions()}
${consequences()}
${recipes({ ...gateway, address: ADDRESS, roots: [{ fingerprint: '', pem: ROOTS }] })}
${SCRIPT_MAIN}`;
}

/** What is found out about the machine, as `survey` does. */
function surveyOf(): string {
  const stores = TRUST_STORES.map(
    ({ directory, merge, renew }) =>
      `  if [ -z "$TRUST" ] && has ${directory} && is_program ${merge}; then TRUST=${directory} MERGE=${quoted(merge)} RENEW=${quoted(renew)}; fi`,
  );
  return `
survey() {
  TRUST='' MERGE='' RENEW='' STORE=classic driver=''
${stores.join('\n')}
  RANCHER=${K3S}
  if has ${RKE2} && ! has ${K3S}; then RANCHER=${RKE2}; fi
  if [ -z "$ROOT" ] && [ "$CLIENT" = docker ]; then driver=$(docker info --format '{{.DriverStatus}}' 2>/dev/null) || driver=''; fi
  if [ -n "$driver" ]; then
    case $driver in *io.containerd.snapshotter*) STORE=containerd ;; esac
  elif has /etc/docker/daemon.json; then
    if tr '\\n' ' ' <"$ROOT/etc/docker/daemon.json" | grep -q '"containerd-snapshotter"[[:space:]]*:[[:space:]]*true'; then STORE=containerd; fi
  fi
}

by_name() {
  if [ -z "$TRUST" ]; then die ${quoted(NO_TRUST)}; fi
  case $HOST in
    \\[*) ADDRESS=$(printf '%s' "$HOST" | tr -d '[]') ;;
    *[!0-9.]*) ADDRESS=$({ getent ahosts "$HOST" || getent hosts "$HOST"; } 2>/dev/null | awk 'NR == 1 { print $1 }') ;;
    *) ADDRESS=$HOST ;;
  esac
  if [ -z "$ADDRESS" ]; then die "no address found for $HOST: fetch this script by an address instead"; fi
}
`;
}

/** As `containerdSetting` says. */
function containerdFunctions(): string {
  const patterns = Object.entries(PATTERNS).map(
    ([name, pattern]) => `CRI_${name.toUpperCase()}=${quoted(plain(pattern))}`,
  );
  return `
${patterns.join('\n')}
config_has() { [ -n "$config" ] && grep -Eq -e "$1" "$config"; }

# Where containerd reads hosts.toml, and what has to be done so that it does.
containerd_setting() {
  CERTS=/etc/containerd/certs.d SETTING='' version=''
  if [ -z "$ROOT" ]; then version=$(containerd --version 2>/dev/null | sed -n 's/.*[ v]\\([0-9][0-9]*\\)\\.[0-9][0-9]*\\.[0-9].*/\\1/p' || true); fi
  base_of /etc/containerd/config.toml
  config=$work/base/%etc%containerd%config.toml path=''
  if [ ! -e "$config" ] || ! grep -q '[^[:space:]]' "$config"; then config=''; fi
  if [ -n "$config" ]; then
    path=$(TABLE=$CRI_TABLE REGISTRY=$CRI_REGISTRY KEY=$CRI_PATH awk '
      $0 ~ ENVIRON["TABLE"] { inside = $0 ~ ENVIRON["REGISTRY"] }
      inside && $0 ~ ENVIRON["KEY"] { sub(/^[^"\\047]*["\\047]/, ""); sub(/["\\047:].*/, ""); print; exit }' "$config")
  fi
  if config_has "$CRI_OLDER"; then know ${quoted(OLDER)}
  elif [ -n "$path" ]; then CERTS=$path
  elif config_has "$CRI_WITHOUT" || config_has "$CRI_THIRD" || { [ -z "$config" ] && [ -n "$version" ] && [ "$version" -gt 1 ]; }; then :
  elif config_has "$CRI_REGISTRY" || { [ -z "$config" ] && [ -z "$version" ]; } || { [ -n "$config" ] && ! config_has "$CRI_SECOND"; }; then
    know ${quoted(UNSET)}
  else SETTING=1; fi
}
containerd_block() {
  if [ -z "$SETTING" ]; then return 0; fi
  { if [ -z "$config" ]; then printf ${quoted(FIRST_LINES.replaceAll('\n', '\\n'))}; fi; cat <<'EOF'
${SETTING}EOF
  } | block /etc/containerd/config.toml ''
}
`;
}

/** As `consequencesOf` says. */
function consequences(): string {
  const reloads = RELOADS.map(
    ({ path, running, systemd, otherwise }) =>
      `  if grep -q ' ${path}' "$work/touched" && has ${running}; then if has ${SYSTEMD}; then say ${quoted(systemd)}; else say ${quoted(otherwise)}; fi; fi >>"$work/run"`,
  );
  const restarts = RESTARTS.map(
    ({ path, text }) => `  if grep -q ' ${path}' "$work/touched"; then left ${quoted(text)}; fi`,
  );
  return `
consequences() {
  if [ -n "$TRUST" ] && grep -q " $TRUST/" "$work/touched"; then
    if grep -q "^gone $TRUST/" "$work/touched"; then
      say "$RENEW"
      pems=$(sed -n "s|^gone $TRUST/\\(.*\\)\\.crt$|-/etc/ssl/certs/\\1.pem|p" "$work/touched" | awk '!seen[$0]++' | tr '\\n' ' ' | sed 's/ $//')
      if has ${HOOKS}; then printf '%s\\n' ${quoted(tellHooks('PEMS'))} | sed "s|PEMS|$pems|"; fi
    else say "$MERGE"; fi >>"$work/run"
  fi
${[...reloads, ...restarts].join('\n')}
}
`;
}

/** Every client by every way; those that are the same stand together. */
function recipes(gateway: Gateway): string {
  const cases = new Map<string, string[]>();
  for (const client of CLIENTS) {
    for (const [mode, isDefault, dockerStore] of WAYS) {
      const found = { trust: TRUST, dockerStore, containerd: { certs: CERTS }, rancher: RANCHER };
      const body = bodyOf(client, mode, { ...gateway, isDefault }, found);
      cases.set(body, [...(cases.get(body) ?? []), `${client}-${mode}-${isDefault ? 'default' : ''}-${dockerStore}`]);
    }
  }
  const branches = [...cases].map(([body, names]) => `    ${names.join(' | ')})\n${body}      ;;`);
  return `
recipe() {
  case $CLIENT-$MODE-$DEFAULT-$STORE in
${branches.join('\n')}
  esac
}
`;
}

const WAYS = MODES.flatMap((mode) =>
  [false, true].flatMap((isDefault) =>
    (['classic', 'containerd'] as const).map((store) => [mode, isDefault, store] as const),
  ),
);

function bodyOf(client: Client, mode: Mode, gateway: Gateway, found: Surroundings): string {
  let recipe: Recipe;
  try {
    recipe = recipeOf(client, mode, gateway, found);
  } catch (error) {
    if (error instanceof Unsuitable) return `die ${quoted(error.message)}\n`;
    throw error;
  }
  const { way, edits, left, remarks, whenDown } = recipe;
  const isNamed = edits.some(({ path }) => path === '/etc/hosts');
  const isCri = edits.some(({ path }) => path.startsWith(CERTS));
  return [
    ...(isNamed ? ['by_name'] : []),
    ...(client === 'buildkit'
      ? [
          'case $HOST in 127.* | localhost | "[::1]") die "a builder in a container cannot reach $HOST: fetch this script by the name that other machines call the gateway" ;; esac',
        ]
      : []),
    ...(isCri ? ['containerd_setting'] : []),
    `way ${shown(way)}`,
    ...edits.map(editCall),
    ...(isCri ? ['containerd_block'] : []),
    ...left.map((text) => `left ${shown(text)}`),
    ...remarks.map((text) => `know ${shown(text)}`),
    `down ${shown(whenDown)}`,
    '',
  ].join('\n');
}

function editCall(edit: Edit): string {
  const path = shown(edit.path);
  const clashes = (file: string, list: readonly { pattern: string; below?: string; advice: string }[]): string =>
    list
      .map(
        ({ pattern, below = '', advice }) =>
          `clash ${path} ${shown(file)} ${quoted(below)} ${quoted(plain(pattern))} ${shown(advice)}\n`,
      )
      .join('');
  switch (edit.kind) {
    case 'file': {
      if (edit.path.startsWith(TRUST)) return 'roots';
      if (edit.content === ROOTS) return `file ${path} <"$work/roots"`;
      const beside = edit.beside === undefined ? '' : clashes(edit.beside.path, edit.beside.clashes);
      return `${beside}file ${path} ${document(edit.content)}`;
    }
    case 'block':
      return `${clashes(edit.path, edit.clashes)}block ${path} ${quoted(edit.below ?? '')} ${document(edit.content)}`;
    case 'entry':
      return `entry ${path} ${quoted(edit.key)} ${quoted(edit.value)}`;
  }
}

/** In which the variables of the machine count, and nothing else does. */
function document(content: string): string {
  return `<<EOF\n${escaped(content)}EOF`;
}

function shown(text: string): string {
  return `"${escaped(text).replaceAll('"', '\\"')}"`;
}

function escaped(text: string): string {
  return text.replace(/[\\`]|\$(?!(?:TRUST|CERTS|ADDRESS|RANCHER)\b)/g, '\\$&');
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/** A pattern with real tabs: not every awk knows the escape inside brackets. */
function plain(pattern: string): string {
  return pattern.replaceAll('\\t', '\t');
}
