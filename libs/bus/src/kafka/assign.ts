/** What a member says of itself when it joins: the bus partitions it has, and those with deliveries that are not done. */
export interface Claim {
  readonly member: string;
  readonly generation: number;
  readonly owned: readonly number[];
  readonly busy: readonly number[];
}

/** What a member gets: its bus partitions, and those of them that it hands on once their deliveries are done. */
export interface Share {
  readonly assigned: readonly number[];
  readonly release: readonly number[];
}

/**
 * Shares bus partitions out evenly, moving as few as possible, and none on which its owner is working: such a one stays until it is done,
 * so that a member that joins never causes work to be done twice.
 */
export function assign(claims: readonly Claim[], partitions: number): ReadonlyMap<string, Share> {
  const members = claims.toSorted((a, b) => (a.member < b.member ? -1 : 1));
  const owners = ownersOf(members, partitions);
  const kept = new Map(members.map(({ member }) => [member, [] as number[]]));
  const release = new Map(members.map(({ member }) => [member, [] as number[]]));
  const free: number[] = [];
  let larger = partitions % Math.max(1, members.length);
  const share = Math.floor(partitions / Math.max(1, members.length));
  for (const { member, busy } of members.toSorted((a, b) => countOf(owners, b.member) - countOf(owners, a.member))) {
    const mine = [...owners].filter(([, owner]) => owner === member).map(([partition]) => partition);
    const quota = share + (larger > 0 && mine.length > share ? 1 : 0);
    if (quota > share) larger--;
    mine.sort((a, b) => Number(busy.includes(b)) - Number(busy.includes(a)) || a - b);
    for (const [at, partition] of mine.entries()) {
      if (at < quota) kept.get(member)?.push(partition);
      else if (!busy.includes(partition)) free.push(partition);
      else {
        kept.get(member)?.push(partition);
        release.get(member)?.push(partition);
      }
    }
  }
  for (let partition = 0; partition < partitions; partition++) if (!owners.has(partition)) free.push(partition);
  for (const partition of free.sort((a, b) => a - b)) fewest(kept)?.push(partition);
  return new Map(
    members.map(({ member }) => [member, { assigned: sorted(kept.get(member)), release: sorted(release.get(member)) }] as const),
  );
}

/** Who has what. Of two that claim one bus partition the later generation is right: the other was away. */
function ownersOf(members: readonly Claim[], partitions: number): ReadonlyMap<number, string> {
  const owners = new Map<number, string>();
  for (const { member, owned } of members.toSorted((a, b) => a.generation - b.generation))
    for (const partition of owned) if (partition < partitions) owners.set(partition, member);
  return owners;
}

function countOf(owners: ReadonlyMap<number, string>, member: string): number {
  return [...owners.values()].filter((owner) => owner === member).length;
}

function fewest(kept: ReadonlyMap<string, number[]>): number[] | undefined {
  return [...kept.values()].sort((a, b) => a.length - b.length)[0];
}

function sorted(partitions: readonly number[] | undefined): readonly number[] {
  return (partitions ?? []).toSorted((a, b) => a - b);
}
