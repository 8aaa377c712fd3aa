import type { Client } from './client.ts';
import { ContainersStore } from './containers-store.ts';

interface Inspected {
  readonly FromImageID: string;
  readonly FromImageDigest: string;
  readonly OCIv1: { readonly architecture: string; readonly rootfs: { readonly diff_ids: readonly string[] } };
}

export const buildah: Client = {
  version: ['buildah', '--version'],
  async open(machine, home) {
    const store = await ContainersStore.open('buildah', machine, home);
    return {
      login: (registry, account) => store.login(registry, account),
      async pull(reference, architecture) {
        await store.pull(reference, architecture);
        const output = await store.run(['inspect', '--type', 'image', reference]);
        const image = JSON.parse(output.toString()) as Inspected;
        return {
          manifests: [image.FromImageDigest],
          config: `sha256:${image.FromImageID}`,
          layers: image.OCIv1.rootfs.diff_ids,
          architecture: image.OCIv1.architecture,
        };
      },
      push: (from, to) => store.push(from, `docker://${to}`),
      async [Symbol.asyncDispose]() {},
    };
  },
};
