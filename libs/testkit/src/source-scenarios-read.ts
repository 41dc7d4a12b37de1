import type { Scenario } from './source-scenario.ts';

/** Ranges, and what happens to a table while they are read. */
export const READ_SCENARIOS: readonly Scenario[] = [
  {
    name: 'a row that moves to a page that was read already is in no range, and its change lacks what is large',
    typical: true,
    text: `
run insert 1-20 first P
run delete 1; delete 2
vacuum
anchor
fence
discover
plan 5 -> 4 ranges
read 0
  3 first P
  4 first P
  5 first P
stream opens
run update 18 moved
read 1-
  6 first P
  7 first P
  8 first P
  9 first P
  10 first P
  11 first P
  12 first P
  13 first P
  14 first P
  15 first P
  16 first P
  17 first P
  19 first P
  20 first P
stream 1
  5 u 18 moved P
  commit 1`,
  },
  {
    name: 'a row that moves to a page that is still to be read is in two ranges',
    typical: true,
    text: `
run insert 1-20 first P
run delete 11
vacuum
anchor
discover
plan 5 -> 4 ranges
read 0
  1 first P
  2 first P
  3 first P
  4 first P
  5 first P
run update 2 moved
read 1-
  2 moved P
  6 first P
  7 first P
  8 first P
  9 first P
  10 first P
  12 first P
  13 first P
  14 first P
  15 first P
  16 first P
  17 first P
  18 first P
  19 first P
  20 first P`,
  },
  {
    name: 'rows on pages that came after the plan belong to the last range, deleted ones leave room that is used again',
    typical: true,
    text: `
run insert 1-10 first P
discover
plan 5 -> 2 ranges
run insert 11-12 new P
run delete 1-10
read 0
read 1
  11 new P
  12 new P
vacuum
run insert 21 early P
read 0
  21 early P
plan 5 -> 1 ranges`,
  },
  {
    name: 'a vacuum gives empty pages at the end back, and a plan that was longer still covers the table',
    typical: true,
    text: `
run insert 1-20 first P
discover
plan 5 -> 4 ranges
run delete 6-20
vacuum
run insert 31-33 new P
read
  1 first P
  2 first P
  3 first P
  4 first P
  5 first P
  31 new P
  32 new P
  33 new P
plan 5 -> 2 ranges`,
  },
  {
    name: 'a plan of a table without pages is one open range',
    text: `
plan 5 -> 1 ranges
run insert 1-3 new small
read 0
  1 new small
  2 new small
  3 new small`,
  },
  {
    name: 'a table that is rewritten between plan and read is not read, but as a whole',
    text: `
run insert 1-5 first La
discover
plan any
rewrite
read -> table-changed
plan whole -> 1 ranges
read
  1 first La
  2 first La
  3 first La
  4 first La
  5 first La
discover
plan any
read
  1 first La
  2 first La
  3 first La
  4 first La
  5 first La`,
  },
  {
    name: 'a rewrite and a truncation wait for a read, and the read has what was there when it began',
    text: `
run insert 1-3 first small
discover
plan any
read held
rewrite -> waits
A begin
A truncate -> blocked
A delete 2
A insert 4 new small
A commit
read ends
  1 first small
  2 first small
  3 first small
rewrite
read -> table-changed`,
  },
  {
    name: 'a rewrite waits for a transaction that wrote the table',
    text: `
run insert 1-3 first small
A begin
A update 1 one
rewrite -> waits
A prepare
rewrite -> waits
A commit
rewrite`,
  },
  {
    name: 'a read waits for a truncation: one that is rolled back changes nothing, one that commits makes another file',
    text: `
run insert 1-3 first small
discover
plan any
A begin
A truncate
A insert 9 new small
read begins
read waits
A rollback
read ends
  1 first small
  2 first small
  3 first small
B begin
B truncate
B insert 9 new small
read begins
read waits
B commit
read ends -> table-changed
discover
plan any
read
  9 new small`,
  },
  {
    name: 'a truncation that committed and is not visible still keeps reads away',
    text: `
run insert 1-3 first small
discover
plan any
anchor
fence
stream opens
A begin
A truncate
A insert 9 new small
A commit late
stream 1
  5 truncate
  9 c 9 new small
  commit 1
read begins
read waits
A visible
read ends -> table-changed`,
  },
];
