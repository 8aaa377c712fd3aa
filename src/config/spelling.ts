/** The choice that `word` most likely stands for, or `undefined` when none is near. */
export function closest(word: string, choices: readonly string[]): string | undefined {
  const written = word.toLowerCase();
  const ranked = choices
    .map((choice) => ({ choice, distance: nearness(written, choice.toLowerCase()) }))
    .sort((a, b) => a.distance - b.distance);
  const best = ranked[0];
  const tolerance = word.length < 4 ? 1 : Math.max(2, Math.floor(word.length / 3));
  return best !== undefined && best.distance <= tolerance ? best.choice : undefined;
}

/** A word cut short counts as one mistake, whatever is missing. */
function nearness(written: string, choice: string): number {
  if (written.length > 64) return Number.POSITIVE_INFINITY;
  const cut = written.length >= 3 && (choice.startsWith(written) || written.startsWith(choice));
  return cut && written !== choice ? 1 : editDistance(written, choice);
}

/** Levenshtein's distance, one row at a time. */
function editDistance(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, index) => index);
  for (const [i, letter] of [...from].entries()) {
    const next = [i + 1];
    for (let j = 0; j < to.length; j++) {
      const replaced = (row[j] ?? 0) + (letter === to[j] ? 0 : 1);
      next.push(Math.min(replaced, (row[j + 1] ?? 0) + 1, (next[j] ?? 0) + 1));
    }
    row = next;
  }
  return row[to.length] ?? 0;
}
