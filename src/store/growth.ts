import { basename } from 'node:path';
import { BLOCK, toBlocks } from './space.ts';

/** What a new directory takes, and its name in the one above (bytes). */
const DIRECTORY = BLOCK + 256;

/** What one write adds to the disk. */
export interface Growth {
  bytes: number;
}

/** For whom makes directories. */
export function madeIn(growth: Growth): (directories: number) => void {
  return (directories) => {
    growth.bytes += directories * DIRECTORY;
  };
}

/** What a name takes in its directory at most: split blocks of ext4 are half full. */
export function nameOf(path: string): number {
  return 2 * (8 + basename(path).length);
}

/** What a new object of `size` bytes takes at most, with the directories on the way to it. */
export function mostFor(key: string, size: number): number {
  return toBlocks(size) + key.split('/').length * DIRECTORY + nameOf(key);
}
