import type { Sqlite } from './sqlite.ts';

/** A repository of which something is here. */
export interface CatalogEntry {
  /** Namespaced. */
  readonly repository: string;
  /** Bytes of all that is linked there; what other repositories share counts in each. */
  readonly size: number;
  /** When one of its manifests was last used, milliseconds since 1970; 0 when none is here. */
  readonly used: number;
}

/** Layers are shared: a use of one tells nothing of the repositories that have it too. */
const CATALOG = `
SELECT r.name, sum(o.size), max(iif(o.manifest > 0, o.used, 0)) AS used
FROM links JOIN objects o ON o.id = object AND o.present > 0 JOIN repositories r ON r.id = repository
GROUP BY repository ORDER BY used DESC, r.name LIMIT ?`;

/** Up to `limit` repositories of which something is here, the one that was used last first. */
export function readCatalog(sql: Sqlite, limit: number): readonly CatalogEntry[] {
  return Array.from(sql.rows(CATALOG, limit), ([name, size, used]) => {
    return { repository: String(name), size: Number(size), used: Number(used) };
  });
}
