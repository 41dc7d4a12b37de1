/** The known word that was likely meant: the same but for case and underscores, or a few letters away. */
export function nearest(written: string, known: readonly string[]): string | undefined {
  let best: { readonly word: string; readonly distance: number } | undefined;
  for (const word of known) {
    const distance = plain(word) === plain(written) ? 0 : editDistance(plain(written), plain(word));
    if (distance <= Math.max(1, Math.floor(word.length / 3)) && (best === undefined || distance < best.distance)) best = { word, distance };
  }
  return best?.word;
}

function plain(word: string): string {
  return word.toLowerCase().replace(/[_\-\s]/g, '');
}

/** Levenshtein's distance: the least number of letters to insert, delete or replace. */
function editDistance(a: string, b: string): number {
  let above = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let row = 1; row <= a.length; row++) {
    const line = [row];
    for (let column = 1; column <= b.length; column++) {
      const replaced = (above[column - 1] as number) + (a[row - 1] === b[column - 1] ? 0 : 1);
      line.push(Math.min(replaced, (above[column] as number) + 1, (line[column - 1] as number) + 1));
    }
    above = line;
  }
  return above[b.length] as number;
}
