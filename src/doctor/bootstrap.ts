import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { type Finding, ok, several, warning } from './finding.ts';
import type { Holder } from './port-holder.ts';

export interface BootstrapFacts {
  /** The gateway runs, or is about to run, in a container. */
  readonly inContainer: boolean;
  /** Names of registries that lead to the gateway on its own machine. */
  readonly led: readonly string[];
  /** Files in which clients on its own machine name it as a mirror. */
  readonly mirrors: readonly string[];
}

/** Whether the gateway's own image would have to come through the gateway. */
export function judgeBootstrap({ inContainer, led, mirrors }: BootstrapFacts): readonly Finding[] {
  if (!inContainer) return [ok('the gateway is no container: it needs no image to start')];
  // A mirror that does not answer is passed by.
  if (led.length === 0)
    return [
      ok(
        `the gateway's image comes ${mirrors.length > 0 ? 'from its registry while the mirror is down' : 'past the gateway'}`,
      ),
    ];
  return [
    warning(
      `the gateway is a container, and on its own machine ${several(led)} lead to it`,
      'while it is down its image cannot be pulled, so an upgrade or a lost image keeps it down',
      `keep a copy: docker save IMAGE -o layover-image.tar (back by: docker load -i layover-image.tar); or take these names out of this machine's /etc/hosts`,
    ),
  ];
}

/** Programs that listen on behalf of containers. */
const PUBLISHERS = new Set([
  'docker-proxy',
  'rootlessport',
  'rootlesskit',
  'pasta',
  'pasta.avx2',
  'slirp4netns',
  'conmon',
]);

/** Whether this is a container, or one has the gateway's ports. */
export function isContainer(root: string, holders: readonly Holder[]): boolean {
  const marked = ['/.dockerenv', '/run/.containerenv', '/run/secrets/kubernetes.io'].some((file) =>
    existsSync(join(root, file)),
  );
  return marked || holders.some(({ name }) => PUBLISHERS.has(name));
}
