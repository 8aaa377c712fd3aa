import { type Digest, parseDigest } from '../oci/digest.ts';
import { asObject, isCount, parseObject } from './json.ts';

const MAX_CLASSES = 16;
const MAX_MOVES = 64;
const MAX_PROOFS = 4096;

/** That a digest belongs to a repository, and what is known of it: its size where it was told, a media type for manifests only. */
export interface Link {
  readonly mediaType?: string;
  /** Bytes. */
  readonly size?: number;
}

/** What a tag meant to clients of one Accept class when it was last looked up. Times: milliseconds since the epoch. */
export interface TagEntry {
  readonly digest: Digest;
  readonly mediaType: string;
  /** Bytes of the manifest. */
  readonly size: number;
  readonly etag?: string;
  readonly checkedAt: number;
}

export interface TagMove {
  readonly at: number;
  readonly digest: Digest;
  readonly acceptClass: string;
  /** The user who pushed it. */
  readonly by?: string;
}

export interface TagRecord {
  readonly tag: string;
  readonly classes: Readonly<Record<string, TagEntry>>;
  /** Oldest first; at most 64. */
  readonly history: readonly TagMove[];
}

/**
 * The record after a look-up for one Accept class. A digest that is new for the class goes into the history; the
 * class whose check is oldest makes room for a seventeenth.
 */
export function withTag(
  record: TagRecord | undefined,
  tag: string,
  acceptClass: string,
  entry: TagEntry,
  by?: string,
): TagRecord {
  const moved = entryOf(record, acceptClass)?.digest !== entry.digest;
  const move = { at: entry.checkedAt, digest: entry.digest, acceptClass, ...(by !== undefined && { by }) };
  const others = Object.entries(record?.classes ?? {}).filter(([name]) => name !== acceptClass);
  const kept = others.sort(([, a], [, b]) => b.checkedAt - a.checkedAt).slice(0, MAX_CLASSES - 1);
  const history = record?.history ?? [];
  return {
    tag,
    classes: Object.fromEntries([[acceptClass, entry], ...kept]),
    history: moved ? [...history, move].slice(-MAX_MOVES) : history,
  };
}

/** The record without what it says for one Accept class; the history stays. */
export function withoutClass(record: TagRecord, acceptClass: string): TagRecord {
  const others = Object.entries(record.classes).filter(([name]) => name !== acceptClass);
  return { ...record, classes: Object.fromEntries(others) };
}

/** What a record says for one Accept class. */
export function entryOf(record: TagRecord | undefined, acceptClass: string): TagEntry | undefined {
  return record !== undefined && Object.hasOwn(record.classes, acceptClass) ? record.classes[acceptClass] : undefined;
}

/** What a tag meant at `time` to clients of one Accept class, or else to any, as far as the history goes back. */
export function digestAt(record: TagRecord | undefined, time: number, acceptClass: string): Digest | undefined {
  const moves = record?.history.filter(({ at }) => at <= time) ?? [];
  return (moves.findLast((move) => move.acceptClass === acceptClass) ?? moves.at(-1))?.digest;
}

/** Reads a stored record; `undefined` when it is not whole. */
export function parseTagRecord(bytes: Uint8Array): TagRecord | undefined {
  const json = parseObject(bytes);
  const classes = asObject(json?.classes);
  if (typeof json?.tag !== 'string' || classes === undefined || !Array.isArray(json.history)) return undefined;
  const entries = Object.entries(classes).map(([name, value]) => [name, toEntry(value)] as const);
  const moves = (json.history as unknown[]).map(toMove);
  if (entries.some(([, entry]) => entry === undefined) || moves.includes(undefined)) return undefined;
  return {
    tag: json.tag,
    classes: Object.fromEntries(entries.flatMap(([name, entry]) => (entry === undefined ? [] : [[name, entry]]))),
    history: moves.filter((move) => move !== undefined),
  };
}

function toEntry(value: unknown): TagEntry | undefined {
  const { digest, mediaType, size, etag, checkedAt } = asObject(value) ?? {};
  const parsed = typeof digest === 'string' ? parseDigest(digest) : undefined;
  if (parsed === undefined || typeof mediaType !== 'string' || !isCount(size) || !isCount(checkedAt)) return undefined;
  return { digest: parsed, mediaType, size, ...(typeof etag === 'string' && { etag }), checkedAt };
}

function toMove(value: unknown): TagMove | undefined {
  const { at, digest, acceptClass, by } = asObject(value) ?? {};
  const parsed = typeof digest === 'string' ? parseDigest(digest) : undefined;
  if (parsed === undefined || !isCount(at) || typeof acceptClass !== 'string') return undefined;
  return { at, digest: parsed, acceptClass, ...(typeof by === 'string' && { by }) };
}

/** Who was seen to read a repository at its upstream. Times: milliseconds since the epoch. */
export interface AccessRecord {
  /** Present while anonymous requests succeed: since when, and when that was last seen. */
  readonly public?: { readonly since: number; readonly checked: number };
  /** By principal; at most 4096. */
  readonly proofs: Readonly<Record<string, { readonly at: number }>>;
}

const NOBODY: AccessRecord = { proofs: {} };

/** The record after an anonymous success at `at`. */
export function withPublic(record: AccessRecord = NOBODY, at: number): AccessRecord {
  return { ...record, public: { since: record.public?.since ?? at, checked: at } };
}

/** The record after an anonymous refusal. */
export function withoutPublic(record: AccessRecord = NOBODY): AccessRecord {
  return { proofs: record.proofs };
}

/** The record after a success of `principal` at `at`; the oldest proofs make room. */
export function withProof(record: AccessRecord = NOBODY, principal: string, at: number): AccessRecord {
  const proofs = Object.entries({ ...record.proofs, [principal]: { at } });
  if (proofs.length > MAX_PROOFS) proofs.sort(([, a], [, b]) => b.at - a.at);
  return { ...record, proofs: Object.fromEntries(proofs.slice(0, MAX_PROOFS)) };
}

/** The record after a refusal of `principal`. */
export function withoutProof(record: AccessRecord = NOBODY, principal: string): AccessRecord {
  const proofs = Object.entries(record.proofs).filter(([name]) => name !== principal);
  return { ...record, proofs: Object.fromEntries(proofs) };
}

/** When `principal` was last seen to succeed. */
export function proofOf(record: AccessRecord | undefined, principal: string): number | undefined {
  return record !== undefined && Object.hasOwn(record.proofs, principal) ? record.proofs[principal]?.at : undefined;
}

/** Reads a stored record; `undefined` when it is not whole. */
export function parseAccessRecord(bytes: Uint8Array): AccessRecord | undefined {
  const json = parseObject(bytes);
  const stored = asObject(json?.proofs);
  if (json === undefined || stored === undefined) return undefined;
  const proofs: [string, { at: number }][] = [];
  for (const [principal, value] of Object.entries(stored)) {
    const at = asObject(value)?.at;
    if (!isCount(at)) return undefined;
    proofs.push([principal, { at }]);
  }
  const record = { proofs: Object.fromEntries(proofs) };
  if (json.public === undefined) return record;
  const { since, checked } = asObject(json.public) ?? {};
  return isCount(since) && isCount(checked) ? { public: { since, checked }, ...record } : undefined;
}

/** An empty record says that the digest belongs there, and no more. */
export function parseLink(bytes: Uint8Array): Link | undefined {
  if (bytes.length === 0) return {};
  const json = parseObject(bytes);
  if (json === undefined) return undefined;
  const { mediaType, size } = json;
  return { ...(typeof mediaType === 'string' && { mediaType }), ...(isCount(size) && { size }) };
}

/** The namespaced name of a repository. */
export function parsePublic(bytes: Uint8Array): string | undefined {
  const name = parseObject(bytes)?.repository;
  return typeof name === 'string' && name !== '' ? name : undefined;
}
