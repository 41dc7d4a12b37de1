import type { Scenario } from './source-scenario.ts';

/** Locks, commits and visibility; the slot and the fence. */
export const START_SCENARIOS: readonly Scenario[] = [
  {
    name: 'rows, keys and tables that others hold',
    text: `
run insert 1-3 first small
A begin
A update 1 one
A delete 2
A insert 4 new small
B begin
B update 1 two -> blocked
B delete 2 -> blocked
B insert 2 two small -> blocked
B insert 4 two small -> blocked
B key 3 2 -> blocked
B update 4 unseen -> absent
B truncate -> blocked
A insert 3 taken small -> duplicate
A truncate -> blocked
A rollback
B update 1 two
B key 3 2 -> duplicate
B delete 4 -> absent
B commit
A begin
A truncate
B begin
B insert 9 two small -> blocked
B delete 1 -> blocked
B truncate -> blocked
A rollback
B delete 1
B rollback
plan any
read
  1 two small
  2 first small
  3 first small`,
  },
  {
    name: 'a prepared transaction keeps its locks and holds the anchor; it is read and not streamed',
    text: `
run insert 1-2 first small
A begin
A update 1 prepared
A insert 3 prepared small
A prepare
B begin
B update 1 other -> blocked
B rollback
anchor begins
anchor waits for A
A commit
anchor ends
fence
plan any
read
  1 prepared small
  2 first small
  3 prepared small
stream opens
run insert 4 later small
stream 1
  5 c 4 later small
  commit 1`,
  },
  {
    name: 'a prepared transaction that began while the slot was made holds the fence and is streamed whole',
    text: `
run insert 1-2 first small
A begin
A update 1 one
anchor begins
anchor waits for A
B begin
B insert 3 before small
A commit
anchor waits for B
C begin
C insert 4 before small
B commit
anchor ends
C update 4 after
C prepare
fence begins
fence waits for C
stream opens
run insert 5 later small
stream 1
  5 c 5 later small
  commit 1
C commit
fence ends
plan any
read
  1 one small
  2 first small
  3 before small
  4 after small
  5 later small
stream 1
  5 c 4 before small
  9 u 4 after small
  commit 2`,
  },
  {
    name: 'a transaction that is open across anchor and fence is streamed with what it wrote before L0',
    text: `
A begin
A insert 1 one small
anchor begins
anchor waits for A
B begin
B insert 2 two small
A rollback
anchor waits for B
C begin
C insert 3 three small
B rollback
anchor ends
fence begins
fence waits for C
C delete 3
C insert 4 four small
C commit
fence ends
plan any
read
  4 four small
stream opens
stream 1
  5 c 3 three small
  9 d 3
  13 c 4 four small
  commit 1`,
  },
  {
    name: 'a commit below L0 that is not visible holds the fence and is never streamed',
    text: `
A begin
A insert 1 A small
anchor begins
anchor waits for A
B begin
B insert 2 B small
A commit
anchor waits for B
T begin
T insert 3 T small
T commit late
B commit
anchor ends
plan any
read
  1 A small
  2 B small
fence begins
fence waits for T
stream opens
run insert 4 later small
stream 1
  5 c 4 later small
  commit 1
T visible
fence ends
read
  1 A small
  2 B small
  3 T small
  4 later small`,
  },
  {
    name: 'a prepared transaction whose commit is not visible keeps its locks, too',
    text: `
run insert 1 first small
anchor
stream opens
A begin
A update 1 late
A prepare
A commit late
B begin
B update 1 other -> blocked
stream 1
  5 u 1 late small
  commit 1
plan any
read
  1 first small
fence begins
fence waits for B
A visible
B update 1 other
B commit
fence ends
read
  1 other small`,
  },
  {
    name: 'a commit that is not visible keeps its locks, is streamed, and is not read',
    text: `
run insert 1-2 first small
anchor
fence
stream opens
A begin
A update 1 late
A delete 2
A insert 3 late small
A commit late
B begin
B update 1 other -> blocked
B insert 2 other small -> blocked
B insert 3 other small -> blocked
stream 1
  5 u 1 late small
  9 d 2
  13 c 3 late small
  commit 1
plan any
read
  1 first small
  2 first small
A visible
B update 1 other
B insert 2 other small
B insert 3 other small -> duplicate
B commit
read
  1 other small
  2 other small
  3 late small
stream 1
  5 u 1 other small
  9 c 2 other small
  commit 2`,
  },
];
