/** Groups of the table that a run ends with. */
export type Group = 'operation' | 'fault' | 'crash' | 'transition';

/** How often each thing happened, over all seeds of a run. */
export class Occurrences {
  private readonly counts = new Map<string, number>();

  /** Says beforehand what must happen: it stands in the table with 0 until it does. */
  expect(group: Group, names: readonly string[]): void {
    for (const name of names) this.add(group, name, 0);
  }

  count(group: Group, name: string): void {
    this.add(group, name, 1);
  }

  add(group: Group, name: string, times: number): void {
    const key = `${group}\t${name}`;
    this.counts.set(key, (this.counts.get(key) ?? 0) + times);
  }

  /** Takes in what another run counted. */
  merge(other: readonly (readonly [string, number])[]): void {
    for (const [key, times] of other) this.counts.set(key, (this.counts.get(key) ?? 0) + times);
  }

  entries(): readonly (readonly [string, number])[] {
    return [...this.counts];
  }

  /** What was expected and never happened. */
  never(): readonly string[] {
    return [...this.counts].filter(([, times]) => times === 0).map(([key]) => key.replace('\t', ' '));
  }

  /** The table, a group after the other, in columns. */
  text(): string {
    const groups = new Map<string, string[]>();
    for (const [key, times] of this.counts) {
      const [group = '', name = ''] = key.split('\t');
      groups.set(group, [...(groups.get(group) ?? []), `${String(times).padStart(8)}  ${name}`]);
    }
    return [...groups].map(([group, lines]) => `${group}\n${columns(lines)}`).join('\n\n');
  }
}

const WIDTH = 132;

function columns(lines: readonly string[]): string {
  const width = Math.max(...lines.map((line) => line.length)) + 2;
  const across = Math.max(1, Math.floor(WIDTH / width));
  const down = Math.ceil(lines.length / across);
  const rows = Array.from({ length: down }, (_, row) =>
    lines
      .filter((_, index) => index % down === row)
      .map((line) => line.padEnd(width))
      .join('')
      .trimEnd(),
  );
  return rows.join('\n');
}
