import { pullLikeContainerd } from './containerd.ts';
import { pullLikeContainersImage } from './containers-image.ts';
import { pullLikeDockerd } from './dockerd.ts';
import type { Pulled, PullOptions } from './session.ts';

export type ClientModel = 'containerd' | 'dockerd' | 'containers-image';

export const CLIENT_MODELS: readonly ClientModel[] = ['containerd', 'dockerd', 'containers-image'];

/** Pulls an image with the requests that a real client would make, and verifies every digest. */
export function pull(model: ClientModel, options: PullOptions): Promise<Pulled> {
  switch (model) {
    case 'containerd':
      return pullLikeContainerd(options);
    case 'dockerd':
      return pullLikeDockerd(options);
    case 'containers-image':
      return pullLikeContainersImage(options);
  }
}
