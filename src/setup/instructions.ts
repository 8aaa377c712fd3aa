import { RESTARTS } from './commands.ts';
import type { Edit } from './edit.ts';
import { authorityOf, type Gateway, urlOf } from './gateway.ts';
import { type Client, type Mode, recipeOf, type Surroundings } from './recipe.ts';
import { hostsLines } from './settings.ts';

/** One thing to do: a text, and what to type or to write. */
export interface Step {
  readonly text: string;
  /** A command line for a shell. */
  readonly command?: string;
  /** A file, and what is to stand in it. */
  readonly file?: string;
  readonly content?: string;
}

/** How one kind of client is set up for a gateway. */
export interface Instructions {
  /** As `layover setup` calls it, or `macos` and `windows`. */
  readonly client: string;
  readonly title: string;
  readonly steps: readonly Step[];
}

const TITLES: readonly (readonly [Client, Mode, string])[] = [
  ['docker', 'mirror', 'Docker on Linux'],
  ['podman', 'mirror', 'podman, skopeo, buildah'],
  ['containerd', 'mirror', 'containerd'],
  ['k3s', 'mirror', 'k3s; rke2 has /etc/rancher/rke2'],
  ['crio', 'mirror', 'CRI-O'],
  ['buildkit', 'mirror', 'BuildKit, buildx with a builder of its own'],
  ['system', 'transparent', 'Everything else on Linux: helm, oras, cosign, crane, …'],
];

/** Where a Debian machine with Docker's classic store has things; the script finds out for itself. */
const USUAL: Surroundings = {
  trust: '/usr/local/share/ca-certificates',
  dockerStore: 'classic',
  rancher: '/etc/rancher/k3s',
  containerd: {
    certs: '/etc/containerd/certs.d',
    remark: 'containerd 1.x reads it when config_path names it in /etc/containerd/config.toml',
  },
};

/** What a person does to set up each kind of client, for people and pages; commands are for the shell of that system. */
export function instructions(gateway: Gateway): readonly Instructions[] {
  const linux = TITLES.map(([client, mode, title]) => ({
    client,
    title,
    steps: [script(gateway, client), ...byHand(gateway, client, mode)],
  }));
  return [...linux, macos(gateway), windows(gateway)];
}

/** The command that prints what would change; `--apply` and `--undo` are the reader's to add. */
export function scriptCommand(gateway: Gateway, client: Client): string {
  const pins = gateway.roots.map(({ fingerprint }) => `--fingerprint ${fingerprint} `).join('');
  return `curl -fsS ${urlOf(gateway)}/setup.sh | sudo sh -s -- ${pins}${client}`;
}

function script(gateway: Gateway, client: Client): Step {
  return {
    text: 'This prints what it would change. With --apply at its end it does it, with --undo --apply it takes it out again. The fingerprint has to be the one that "layover ca fingerprint" tells on the gateway.',
    command: scriptCommand(gateway, client),
  };
}

const DOCKER_MORE =
  'The script does more: for the containerd image store a mirror for every registry; for the classic one, which takes mirrors for Docker Hub alone, the names of the others lead to the gateway';
const DOCKER_DOWN =
  'where there is a mirror, pulls go on from the registry; from registries whose names lead to the gateway they fail until it is back, or until this is undone';

function byHand(gateway: Gateway, client: Client, mode: Mode): readonly Step[] {
  const { edits, left, remarks, whenDown } = recipeOf(client, mode, gateway, USUAL);
  const restarts = RESTARTS.filter(({ path }) => edits.some((edit) => edit.path === path)).map(({ text }) => text);
  const notes = client === 'docker' ? [DOCKER_MORE, ...remarks.slice(1)] : remarks;
  return [
    ...edits.map(stepOf),
    ...COMMANDS.filter(([name]) => name === client).map(([, text, command]) => ({ text, command })),
    ...[...restarts, ...left, ...notes].map((text) => ({ text: sentence(text) })),
    { text: sentence(`While the gateway is down: ${client === 'docker' ? DOCKER_DOWN : whenDown}`) },
  ];
}

/** What follows by hand, by client. */
const COMMANDS: readonly (readonly [Client, string, string])[] = [
  ['system', 'Let the system take the root.', 'sudo update-ca-certificates'],
  ['docker', 'Let docker read it.', 'sudo systemctl reload docker'],
  ['crio', 'Let CRI-O read it.', 'sudo systemctl reload crio'],
];

function stepOf(edit: Edit): Step {
  switch (edit.kind) {
    case 'file':
      return { text: 'Or by hand, this file:', file: edit.path, content: edit.content };
    case 'block': {
      const where = edit.below === undefined ? '' : `, indented below "${edit.below}:"`;
      return { text: `Or by hand, these lines${where}, in the file`, file: edit.path, content: edit.content };
    }
    case 'entry':
      return {
        text: 'Or by hand, this key beside the others, in the file',
        file: edit.path,
        content: `{ "${edit.key}": ["${edit.value}"] }\n`,
      };
  }
}

function macos(gateway: Gateway): Instructions {
  return {
    client: 'macos',
    title: 'macOS with Docker Desktop',
    steps: [
      ...desktopMirror(gateway),
      { text: 'For all registries: fetch the root CA.', command: `curl -fsS -o layover.crt ${urlOf(gateway)}/ca.crt` },
      {
        text: `Compare its fingerprint: ${pins(gateway)}`,
        command: 'openssl x509 -in layover.crt -noout -fingerprint -sha256',
      },
      {
        text: 'Trust it.',
        command: 'sudo security add-trusted-cert -d -r trustRoot -k /Library/Keychains/System.keychain layover.crt',
      },
      {
        text: 'Lead the names to the gateway: add these lines.',
        file: '/etc/hosts',
        content: hostsLines(gateway, gateway.registries),
      },
      { text: 'Restart Docker Desktop: it imports the roots when it starts.' },
      { text: DESKTOP_DOWN },
    ],
  };
}

function windows(gateway: Gateway): Instructions {
  return {
    client: 'windows',
    title: 'Windows with Docker Desktop',
    steps: [
      ...desktopMirror(gateway),
      {
        text: 'For all registries, in a terminal of the administrator: fetch the root CA.',
        command: `curl.exe -fsS -o layover.crt ${urlOf(gateway)}/ca.crt`,
      },
      {
        text: `Compare its SHA-256, written there without colons: ${pins(gateway)}`,
        command: 'certutil -dump layover.crt',
      },
      { text: 'Trust it.', command: 'certutil -addstore -f Root layover.crt' },
      {
        text: 'Lead the names to the gateway: add these lines.',
        file: 'C:\\Windows\\System32\\drivers\\etc\\hosts',
        content: hostsLines(gateway, gateway.registries),
      },
      { text: 'Restart Docker Desktop: it imports the roots when it starts.' },
      { text: DESKTOP_DOWN },
    ],
  };
}

const DESKTOP_DOWN =
  'While the gateway is down: with the mirror alone, pulls go on; with the names led to it, pulls fail until those lines are taken out.';

function desktopMirror(gateway: Gateway): readonly Step[] {
  return [
    {
      text: 'For Docker Hub alone: Settings, Docker Engine, add this key, Apply & restart. No root CA is needed.',
      file: 'daemon.json',
      content: `{ "registry-mirrors": ["http://${authorityOf(gateway)}"] }\n`,
    },
  ];
}

function pins({ roots }: Gateway): string {
  return roots.map(({ fingerprint }) => fingerprint).join(' or ');
}

/** Names of programs stay as they are written. */
function sentence(text: string): string {
  const begun = /^(?:ctr|containerd|systemctl|docker)\b/.test(text)
    ? text
    : text.charAt(0).toUpperCase() + text.slice(1);
  return /[.…]$/.test(begun) ? begun : `${begun}.`;
}
