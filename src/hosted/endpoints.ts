import { RegistryError } from '../oci/error.ts';
import type { Endpoints, Exchange, Reply } from '../registry/exchange.ts';
import { getBlob } from './blob.ts';
import { deleteBlob, deleteManifest } from './deletion.ts';
import type { Hosted } from './hosted.ts';
import { listReferrers, listRepositories, listTags, type Names } from './lists.ts';
import { getManifest, putManifest } from './manifest.ts';
import { upload } from './upload.ts';

/** The endpoints of hosted repositories; every other request goes to `cached`, of whose repositories `names` are listed. */
export function withHosted(hosted: Hosted, cached: Endpoints, names: Names): Endpoints {
  return async (exchange) => {
    const { route } = exchange;
    const isHosted = route.kind === 'catalog' || ('repository' in route && route.repository.root === 'hosted');
    return isHosted ? answer(hosted, exchange, names) : cached(exchange);
  };
}

async function answer(hosted: Hosted, exchange: Exchange, names: Names): Promise<Reply> {
  const { route, method } = exchange;
  const isRead = method === 'GET' || method === 'HEAD';
  switch (route.kind) {
    case 'upload':
      return upload(hosted, exchange, route);
    case 'blob':
      if (isRead) return getBlob(hosted, exchange, route);
      if (method === 'DELETE') return deleteBlob(hosted, route);
      break;
    case 'manifest':
      if (isRead) return getManifest(hosted, exchange, route);
      if (method === 'PUT') return putManifest(hosted, exchange, route);
      if (method === 'DELETE') return deleteManifest(hosted, route);
      break;
    case 'tags':
      if (isRead) return listTags(hosted, route);
      break;
    case 'catalog':
      return listRepositories(hosted, route, names);
    case 'referrers':
      if (isRead) return listReferrers(hosted, route);
      break;
    default:
  }
  throw new RegistryError('UNSUPPORTED');
}
