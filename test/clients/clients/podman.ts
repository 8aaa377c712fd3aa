import type { Client } from './client.ts';
import { ContainersStore } from './containers-store.ts';

interface Inspected {
  readonly Id: string;
  readonly RepoDigests: readonly string[];
  readonly RootFS: { readonly Layers: readonly string[] };
  readonly Architecture: string;
}

export const podman: Client = {
  version: ['podman', '--version'],
  async open(machine, home) {
    const store = await ContainersStore.open('podman', machine, home);
    return {
      login: (registry, account) => store.login(registry, account),
      async pull(reference, architecture) {
        await store.pull(reference, architecture);
        const [image] = JSON.parse((await store.run(['image', 'inspect', reference])).toString()) as [Inspected];
        return {
          manifests: image.RepoDigests.map((name) => name.slice(name.indexOf('@') + 1)),
          config: `sha256:${image.Id}`,
          layers: image.RootFS.Layers,
          architecture: image.Architecture,
        };
      },
      push: (from, to) => store.push(from, to),
      async [Symbol.asyncDispose]() {},
    };
  },
};
