import { configure, type Finding, ok, problem, warning } from './finding.ts';

/** What a file system is, beside an ordinary one on a disk of this machine. */
export type Kind = 'memory' | 'network' | 'layer' | 'disk';

export interface StorageFacts {
  /** Of the configuration: a path, and bytes. */
  readonly root: string;
  readonly size: number;
  readonly reserve: number;
  /** The directory that was tried: `root`, or the closest above it that is there. */
  readonly place: string;
  /** The system's code where nothing can be written. */
  readonly unwritable?: string;
  readonly hardLinks: boolean;
  /** `A` and `a` are one file. */
  readonly foldsCase: boolean;
  readonly kind: Kind;
  /** Bytes; of `free`, those that this user may have. */
  readonly total: number;
  readonly free: number;
  /** Files that can still be made; absent where there is no such limit. */
  readonly freeNodes?: number;
  /** Whether cache and spool lie on one file system; true where they are not there yet. */
  readonly together: boolean;
  /** Descriptors that the gateway may have open; absent where there is no telling. */
  readonly openFiles?: number;
  /** The user this was tried as. */
  readonly user: string;
}

const FEW_FILES = 4_096;
const FEW_NODES = 10_000;
const GIGA = 1024 ** 3;

/** Whether the disk can do what the cache asks of it. */
export function judgeStorage(facts: StorageFacts): readonly Finding[] {
  const { place, root, unwritable, user } = facts;
  if (unwritable !== undefined)
    return [
      problem(
        `${place} cannot be written by ${user}: ${unwritable}`,
        'nothing is kept, every pull goes to its registry',
        unwritable === 'EROFS'
          ? `mount it writable; or ${configure('storage: { root: /var/lib/layover }')}`
          : `as the user of the gateway: sudo install -d -o ${user} -m 700 ${root} (or run doctor as that user: sudo -u layover layover doctor)`,
      ),
    ];
  const found = [...judgeFileSystem(facts), ...judgeSpace(facts), ...judgeLimits(facts)];
  if (found.length > 0) return found;
  return [ok(`${root} can be written, ${gigabytes(facts.free)} of ${gigabytes(facts.total)} are free`)];
}

function judgeFileSystem({ root, hardLinks, foldsCase, kind, together }: StorageFacts): Finding[] {
  const elsewhere = `${configure('storage: { root: /var/lib/layover }')}, a directory on a disk of this machine`;
  return [
    ...(hardLinks
      ? []
      : [problem(`${root}: the file system has no hard links`, 'nothing can be published in it', elsewhere)]),
    ...(foldsCase
      ? [
          warning(
            `${root}: the file system takes A and a for one name`,
            'tags that differ in case alone are kept as one, and come from the registry in turns',
            elsewhere,
          ),
        ]
      : []),
    ...(kind === 'disk' ? [] : [judgeKind(root, kind, elsewhere)]),
    ...(together
      ? []
      : [
          problem(
            `${root}: cache and spool lie on two file systems`,
            'each blob is copied once more, and the promise about disk space does not hold',
            `let both be in one mount: mount the volume at ${root}, not below it`,
          ),
        ]),
  ];
}

function judgeKind(root: string, kind: Exclude<Kind, 'disk'>, elsewhere: string): Finding {
  if (kind === 'memory')
    return warning(`${root} lies in memory`, 'the cache is gone with a restart of the machine', elsewhere);
  if (kind === 'network')
    return warning(
      `${root} lies on a network file system`,
      'each pull waits for it, and pulls fail while the other machine is away',
      elsewhere,
    );
  return warning(
    `${root} lies in the container itself`,
    'the cache is gone with the container, at each upgrade',
    `mount a volume there: docker run -v layover-data:${root} …`,
  );
}

function judgeSpace({ root, size, reserve, total, free, freeNodes }: StorageFacts): Finding[] {
  const found: Finding[] = [];
  if (free <= reserve)
    found.push(
      problem(
        `${gigabytes(free)} are free on the file system of ${root}, and storage.reserve keeps ${gigabytes(reserve)} of it`,
        'nothing new is kept, pulls pass through',
        `make room: sudo du -xh / | sort -h | tail; or ${configure('storage: { reserve: 1g }')}`,
      ),
    );
  else if (size + reserve > total)
    found.push(
      warning(
        `storage.size is ${gigabytes(size)}, and the file system of ${root} has ${gigabytes(total)}`,
        'the cache fills the disk down to storage.reserve before it evicts anything',
        configure(`storage: { size: ${writable(total - reserve)} }`),
      ),
    );
  if (freeNodes !== undefined && freeNodes < FEW_NODES)
    found.push(
      warning(
        `${freeNodes} more files can be made on the file system of ${root}`,
        'each blob and each tag is a file',
        'remove what has many small files: sudo du --inodes -x / | sort -n | tail; or use another file system',
      ),
    );
  return found;
}

function judgeLimits({ openFiles }: StorageFacts): Finding[] {
  if (openFiles === undefined || openFiles >= FEW_FILES) return [];
  return [
    warning(
      `${openFiles} files and connections may be open at a time`,
      'each client takes one or more; beyond that connections are refused',
      'LimitNOFILE=65536 in the unit, --ulimit nofile=65536 for a container, or ulimit -n 65536 before the start',
    ),
  ];
}

/** A size as the configuration spells it. */
function writable(bytes: number): string {
  return bytes >= GIGA ? `${Math.floor(bytes / GIGA)}g` : `${Math.max(1, Math.floor(bytes / 1024 ** 2))}m`;
}

function gigabytes(bytes: number): string {
  return `${(bytes / GIGA).toFixed(1)} GB`;
}
