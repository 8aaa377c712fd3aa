const UNITS = ['bytes', 'KB', 'MB', 'GB', 'TB'];

/** Bytes for a reader, such as `3.4 GB`; units of 1024. */
export function inWords(bytes: number): string {
  const power = Math.min(UNITS.length - 1, Math.max(0, Math.floor(Math.log2(Math.max(1, bytes)) / 10)));
  const count = bytes / 1024 ** power;
  return `${power === 0 || count >= 100 ? Math.round(count) : count.toFixed(1)} ${UNITS[power]}`;
}
