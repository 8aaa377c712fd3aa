/**
 * Seeds that have shown a violation once, by case: they are run before all others, for ever. What a seed does depends on
 * the case; when a case draws in another order, a seed of it is to be looked for anew.
 */
export const FAILED: Readonly<Record<string, readonly number[]>> = {
  // Readers at the end that is held back were given another source's rest behind the first one's wrong bytes.
  'displaced-sources': [144, 270],
};
