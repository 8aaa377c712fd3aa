import type { Digest } from '../oci/digest.ts';
import { type CatalogEntry, readCatalog } from './catalog.ts';
import { type Edge, type Inventory, takeInventory } from './inventory.ts';
import type { Entry } from './journal.ts';
import { decode, encode, toObject } from './rows.ts';
import { Sqlite } from './sqlite.ts';

const VERSION = 1;
/** Milliseconds within which a use counts as recent. */
const RECENT = 10_000;
/** Milliseconds that a blob may take from its first use until it is stored. */
const COMING = 3_600_000;

/**
 * `digest`: its bytes alone, whose number tells the algorithm. `present`: the last walk that saw the object, 0 when it
 * is not here. `manifest`: 1 for a manifest, 2 once its children are known.
 */
const TABLES = `
CREATE TABLE IF NOT EXISTS objects (
  id INTEGER PRIMARY KEY AUTOINCREMENT, digest BLOB NOT NULL UNIQUE, size INTEGER NOT NULL DEFAULT 0,
  used INTEGER NOT NULL DEFAULT 0, stored INTEGER NOT NULL DEFAULT 0, present INTEGER NOT NULL DEFAULT 0,
  manifest INTEGER NOT NULL DEFAULT 0);
CREATE INDEX IF NOT EXISTS unread ON objects (id) WHERE manifest = 1;
CREATE TABLE IF NOT EXISTS edges (parent INTEGER, child INTEGER, PRIMARY KEY (parent, child)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS repositories (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS links (
  repository INTEGER, object INTEGER, PRIMARY KEY (repository, object)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS walks (begun INTEGER NOT NULL, ended INTEGER NOT NULL);
INSERT INTO walks SELECT 1, 0 WHERE NOT EXISTS (SELECT 1 FROM walks)`;

/** A blob that a walk found: bytes, and milliseconds since 1970. */
export interface FoundBlob {
  readonly digest: Digest;
  readonly size: number;
  readonly modified: number;
}

/** A link that a walk found. */
export interface FoundLink {
  /** Namespaced. */
  readonly repository: string;
  readonly digest: Digest;
  readonly isManifest: boolean;
}

/** What must stay: everything linked in these repositories (namespaced), and these digests. */
export interface Kept {
  readonly repositories: readonly string[];
  readonly digests: readonly Digest[];
}

/** The tables of the index. All in them can be found out again from the files, but for when something was last used. */
export class Database implements Disposable {
  readonly #sql: Sqlite;
  /** Ids by name, as of one transaction: another process may forget a repository in between. */
  readonly #repositories = new Map<string, number>();
  /** The latest use so far. A later one is later here too, whatever the clock says. */
  #last: number;
  /** What the latest use was at which moment of the monotonic clock. */
  #marks: { readonly moment: number; readonly last: number }[];

  /** As {@link Sqlite}. */
  constructor(path?: string) {
    this.#sql = new Sqlite(path, TABLES, VERSION);
    this.#last = this.#sql.value('SELECT max(used) FROM objects') ?? 0;
    this.#marks = [{ moment: performance.now(), last: Math.max(this.#last, Date.now()) }];
  }

  get isInMemory(): boolean {
    return this.#sql.isInMemory;
  }

  get isNamed(): boolean {
    return this.#sql.isNamed;
  }

  /** Whether a walk has seen all there is. */
  get isWhole(): boolean {
    return (this.#sql.value('SELECT ended FROM walks') ?? 0) > 0;
  }

  [Symbol.dispose](): void {
    this.#sql[Symbol.dispose]();
  }

  /** Takes in what happened, in the order of the last uses. */
  apply(entries: readonly Entry[]): void {
    this.#mark();
    this.#sql.transaction(() => {
      this.#repositories.clear();
      const walk = this.#walk();
      for (const entry of entries) this.#apply(entry, walk);
    });
  }

  /** Begins a walk over all files; returns its number. */
  beginWalk(): number {
    this.#sql.run('UPDATE walks SET begun = begun + 1');
    return this.#walk();
  }

  /** Ends a walk: what it did not see, and nobody stored since, is not here; what was just used may be on its way. */
  endWalk(walk: number): void {
    const sql = this.#sql;
    sql.transaction(() => {
      sql.run('DELETE FROM edges WHERE parent IN (SELECT id FROM objects WHERE present < ?)', walk);
      sql.run('UPDATE objects SET present = 0, manifest = 0 WHERE present BETWEEN 1 AND ? - 1', walk);
      const settled = Date.now() - COMING;
      sql.run('DELETE FROM links WHERE object IN (SELECT id FROM objects WHERE present = 0 AND used <= ?)', settled);
      const unlinked = 'id NOT IN (SELECT child FROM edges) AND id NOT IN (SELECT object FROM links)';
      sql.run(`DELETE FROM objects WHERE present = 0 AND ${unlinked}`);
      sql.run('DELETE FROM repositories WHERE id NOT IN (SELECT repository FROM links)');
      sql.run('UPDATE walks SET ended = max(ended, ?)', walk);
    });
  }

  /** Notes blobs that a walk found; one that is new was last used when its file was written. */
  addBlobs(found: readonly FoundBlob[], walk: number): void {
    const sql = `INSERT INTO objects (digest, size, used, stored, present) VALUES (?, ?, ?, ?, ?)
      ON CONFLICT DO UPDATE SET size = excluded.size, used = iif(used = 0, excluded.used, used),
      stored = excluded.stored, present = max(present, excluded.present)`;
    this.#sql.transaction(() => {
      for (const { digest, size, modified } of found) {
        this.#sql.run(sql, encode(digest), size, modified, modified, walk);
      }
    });
  }

  addLinks(found: readonly FoundLink[]): void {
    this.#sql.transaction(() => {
      this.#repositories.clear();
      for (const { repository, digest, isManifest } of found) {
        const id = this.#sql.value('SELECT id FROM objects WHERE digest = ? AND present > 0', encode(digest));
        if (id === undefined) continue;
        this.#link(repository, id);
        if (isManifest) this.#sql.run('UPDATE objects SET manifest = 1 WHERE id = ? AND manifest = 0', id);
      }
    });
  }

  /** Up to `limit` manifests that are here and whose children are not known. */
  unread(limit: number): readonly Digest[] {
    const rows = this.#sql.rows('SELECT digest FROM objects WHERE manifest = 1 AND present > 0 LIMIT ?', limit);
    return Array.from(rows, ([digest]) => decode(digest)).filter((digest) => digest !== undefined);
  }

  /** Notes what a manifest names; `undefined` when it turned out to be none. */
  addChildren(manifests: readonly (readonly [Digest, readonly Digest[] | undefined])[]): void {
    this.#sql.transaction(() => {
      for (const [digest, children] of manifests) {
        const id = this.#idOf(digest);
        if (id !== undefined) this.#name(id, children);
      }
    });
  }

  /** The namespaced names of the repositories of which something is here. */
  repositories(): readonly string[] {
    const isHere = 'SELECT 1 FROM links JOIN objects o ON o.id = object WHERE repository = r.id AND o.present > 0';
    const rows = this.#sql.rows(`SELECT name FROM repositories r WHERE EXISTS (${isHere})`);
    return Array.from(rows, ([name]) => String(name));
  }

  /** Up to `limit` repositories of which something is here, the one that was used last first. */
  catalog(limit: number): readonly CatalogEntry[] {
    return readCatalog(this.#sql, limit);
  }

  /** What is here, in the order in which it may go. */
  inventory({ repositories, digests }: Kept): Inventory {
    this.#mark();
    const linked = 'SELECT object FROM links JOIN repositories r ON r.id = repository WHERE r.name = ?';
    const kept = repositories.flatMap((name) => Array.from(this.#sql.rows(linked, name), ([id]) => Number(id)));
    const asked = digests.map((digest) => this.#idOf(digest)).filter((id) => id !== undefined);
    const ids = [...kept, ...asked];
    return this.#sql.transaction(() => {
      const objects = this.#sql.counted('id, size, used, manifest', 'objects WHERE present > 0', toObject);
      const edges = this.#sql.counted(
        'parent, child',
        'edges',
        ([parent, child]): Edge => [Number(parent), Number(child)],
      );
      return takeInventory(objects, edges, ids, this.#marks[0]?.last);
    });
  }

  /** The digests behind an inventory's ids. */
  digests(ids: readonly number[]): readonly Digest[] {
    const found = ids.flatMap((id) => [...this.#sql.rows('SELECT digest FROM objects WHERE id = ?', id)]);
    return found.map(([digest]) => decode(digest)).filter((digest) => digest !== undefined);
  }

  #apply({ digest, present, size, children, repositories, turn }: Entry, walk: number): void {
    const bytes = encode(digest);
    if (present === false) this.#sql.run('UPDATE objects SET present = 0, manifest = 0 WHERE digest = ?', bytes);
    if (turn === 0) return;
    this.#last = Math.max(Date.now(), this.#last + 1);
    const used = 'INSERT INTO objects (digest, used) VALUES (?, ?) ON CONFLICT DO UPDATE SET used = excluded.used';
    this.#sql.run(used, bytes, this.#last);
    const id = this.#idOf(digest);
    if (id === undefined) return;
    for (const repository of repositories) this.#link(repository, id);
    if (present !== true) return;
    const stored = 'UPDATE objects SET size = coalesce(?, size), stored = ?, present = ? WHERE id = ?';
    this.#sql.run(stored, size ?? null, Date.now(), walk, id);
    if (children !== undefined) this.#name(id, children);
  }

  #link(repository: string, object: number): void {
    this.#sql.run('INSERT INTO links VALUES (?, ?) ON CONFLICT DO NOTHING', this.#repositoryId(repository), object);
  }

  #repositoryId(name: string): number {
    const known = this.#repositories.get(name);
    if (known !== undefined) return known;
    this.#sql.run('INSERT INTO repositories (name) VALUES (?) ON CONFLICT DO NOTHING', name);
    const id = this.#sql.value('SELECT id FROM repositories WHERE name = ?', name) ?? 0;
    this.#repositories.set(name, id);
    return id;
  }

  /** What a manifest names never changes, so that what is known of an evicted one may stay until the next walk. */
  #name(id: number, children: readonly string[] | undefined): void {
    this.#sql.run('UPDATE objects SET manifest = ? WHERE id = ?', children === undefined ? 0 : 2, id);
    for (const child of children ?? []) {
      const bytes = encode(child);
      this.#sql.run('INSERT INTO objects (digest) VALUES (?) ON CONFLICT DO NOTHING', bytes);
      const edge = 'INSERT INTO edges SELECT ?, id FROM objects WHERE digest = ? ON CONFLICT DO NOTHING';
      this.#sql.run(edge, id, bytes);
    }
  }

  #idOf(digest: string): number | undefined {
    return this.#sql.value('SELECT id FROM objects WHERE digest = ?', encode(digest));
  }

  #walk(): number {
    return this.#sql.value('SELECT begun FROM walks') ?? 1;
  }

  /** Keeps what tells which uses are recent: the first mark is the latest one that is not. */
  #mark(): void {
    const moment = performance.now();
    this.#marks.push({ moment, last: this.#last });
    const young = this.#marks.findIndex((mark) => moment - mark.moment < RECENT);
    this.#marks = this.#marks.slice(Math.max(0, young - 1));
  }
}
