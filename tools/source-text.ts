/** Comments become blanks of the same lines; with `strings` also what stands in quotes, so that words in texts count for nothing. */
export function withoutComments(source: string, strings: 'keep' | 'blank'): string {
  // Quotes are matched first, so that what looks like a comment inside them is none, and the other way round.
  const parts = /'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"|`(?:[^`\\]|\\[\s\S])*`|\/\*[\s\S]*?\*\/|\/\/[^\n]*/g;
  return source.replace(parts, (part) => (part.startsWith('/') || (strings === 'blank' && !part.includes('${')) ? blank(part) : part));
}

/** The module specifiers that a source imports, statically, for types only, dynamically or by re-export. */
export function importsOf(source: string): readonly string[] {
  const code = withoutComments(source, 'keep');
  const patterns = [
    /(?:^|[\s;}])(?:import|export)\b[^'";]*?\bfrom\s*['"]([^'"]+)['"]/g,
    /(?:^|[\s;}])import\s*['"]([^'"]+)['"]/g,
    /\b(?:import|require)\s*\(\s*['"]([^'"]+)['"]/g,
  ];
  return [...new Set(patterns.flatMap((pattern) => [...code.matchAll(pattern)].map((match) => match[1] as string)))];
}

/** Names that a source uses outside of comments and texts, such as `Date.now`. */
export function usesOf(source: string, names: readonly string[]): readonly string[] {
  const code = withoutComments(source, 'blank');
  return names.filter((name) => new RegExp(`(?<![\\w.#])${name.replace('.', '\\s*\\.\\s*')}\\b`).test(code));
}

function blank(text: string): string {
  return text.replace(/[^\n]/g, ' ');
}
