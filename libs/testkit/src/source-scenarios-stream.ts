import type { Scenario } from './source-scenario.ts';

/** What comes out of the log, where, and when it comes again. */
export const STREAM_SCENARIOS: readonly Scenario[] = [
  {
    name: 'a large value that an update leaves alone is read below L1 and left out above',
    text: `
run insert 1-2 first La
anchor
stream opens
run update 1 below; update 2 below Lb
run update 1 again small
mark consistency
stream 3
  5 u 1 below small COMPLETED
  9 u 2 below Lb
  commit 1
  5 u 1 again small
  commit 2
  5 marker consistency
  commit 3
complete off
run update 2 above; update 2 above Lc; update 2 higher; insert 3 new Ld; update 3 newer
stream 1
  5 u 2 above UNCHANGED
  9 u 2 above Lc
  13 u 2 higher UNCHANGED
  17 c 3 new Ld
  21 u 3 newer UNCHANGED
  commit 4`,
  },
  {
    name: 'a key change is two events, and always whole',
    text: `
run insert 1-2 first La
anchor
complete off
stream opens
run key 1 11; key 2 12 moved
run update 11 later; key 11 21
stream 2
  5 d 1 KEY
  9 d 2 KEY
  10 c 12 moved La KEY COMPLETED
  commit 1
  5 u 11 later UNCHANGED ROWLESS
  9 d 11 KEY
  10 c 21 later La KEY COMPLETED
  commit 2`,
  },
  {
    name: 'a swap and a chain of keys in one transaction',
    text: `
run insert 1 one La; insert 2 two Lb; insert 3 three small
anchor
complete off
stream opens
run key 1 99; key 2 1; key 99 2; key 3 4; key 4 5
stream 1
  5 d 1 KEY
  9 d 2 KEY
  10 c 1 two Lb KEY COMPLETED
  13 d 99 KEY
  14 c 2 one La KEY COMPLETED
  17 d 3 KEY
  18 c 4 three small KEY
  21 d 4 KEY
  22 c 5 three small KEY
  commit 1`,
  },
  {
    name: 'delete and insert of one key in one transaction, and again later',
    text: `
run insert 1 first La
anchor
stream opens
run delete 1; insert 1 second Lb; update 1 third
run delete 1
run insert 1 fourth Lc
run update 1 fifth
stream 4
  5 d 1
  9 c 1 second Lb
  13 u 1 third Lc COMPLETED
  commit 1
  5 d 1
  commit 2
  5 c 1 fourth Lc
  commit 3
  5 u 1 fifth Lc COMPLETED
  commit 4`,
  },
  {
    name: 'a truncation between the writes of one transaction',
    text: `
run insert 1-2 first small
anchor
stream opens
run insert 3 gone small; update 1 gone; truncate; insert 1 new small; delete 1; insert 4 new small
stream 1
  5 c 3 gone small
  9 u 1 gone small
  13 truncate
  17 c 1 new small
  21 d 1
  25 c 4 new small
  commit 1
plan any
discover
plan any
read
  4 new small`,
  },
  {
    name: 'what is rolled back, empty, or a savepoint that is given up has no place in the stream; other pipelines’ marks have one',
    text: `
run insert 1 first small
anchor
stream opens
A begin
A insert 2 gone small
A rollback
B begin
B insert 3 gone small
B prepare
B rollback
C begin
C commit
C begin
C update 1 kept
C insert 1 kept small -> duplicate
C insert 4 kept small
C commit
mark other
mark watermark
run delete 4
stream 4
  5 u 1 kept small
  9 c 4 kept small
  commit 1
  commit 2
  5 marker watermark
  commit 3
  5 d 4
  commit 4`,
  },
  {
    name: 'a row that is gone when an event is completed: an update says so, a key change is its delete half, later updates too although above L1',
    text: `
run insert 1-2 first La
anchor
run key 1 11; update 2 one
mark consistency
run update 11 two; update 2 two
run delete 11; delete 2
complete until consistency
stream opens
stream 4
  5 d 1 KEY
  9 u 2 one UNCHANGED ROWLESS
  commit 1
  5 marker consistency
  commit 2
  5 u 11 two UNCHANGED ROWLESS
  9 u 2 two UNCHANGED ROWLESS
  commit 3
  5 d 11
  9 d 2
  commit 4`,
  },
  {
    name: 'a completion waits until the event’s transaction is visible; what stands before it does not',
    text: `
run insert 1-2 first La
anchor
stream opens
A begin
A insert 3 late small
A update 1 late
A commit late
stream 1 begins
stream waits
A visible
stream ends
  5 c 3 late small
  9 u 1 late La COMPLETED
  commit 1`,
  },
  {
    name: 'a completion takes what is there when it reads, and waits while it cannot read',
    text: `
run insert 1-2 first La
anchor
run update 1 one
run update 1 two Lb
run update 2 one
A begin
A truncate
stream opens
stream 3 begins
stream waits
A rollback
stream ends
  5 u 1 one Lb COMPLETED
  commit 1
  5 u 1 two Lb
  commit 2
  5 u 2 one La COMPLETED
  commit 3`,
  },
  {
    name: 'updates that change nothing are updates, also of a key to itself',
    text: `
run insert 1 first La
anchor
complete off
stream opens
run update 1 first; key 1 1
stream 1
  5 u 1 first UNCHANGED
  9 u 1 first UNCHANGED
  commit 1`,
  },
  {
    name: 'streams begin with the commit that was acknowledged last, neighbours included, never below it',
    text: `
run insert 1 first small
anchor
stream opens
A begin
A insert 2 two small
B begin
B insert 3 three small
C begin
C insert 4 four small
A commit
B commit
C commit
stream 3
  5 c 2 two small
  commit 1
  5 c 3 three small
  commit 2
  5 c 4 four small
  commit 3
confirmed -> l0
acknowledge commit 2
confirmed commit 2 -> commit 2
stream closes
verify -> gap
verify commit 1 -> gap
verify commit 2
stream opens from commit 2
stream 2
  5 c 3 three small
  commit 2
  5 c 4 four small
  commit 3
stream closes
stream opens from l0
stream 2
  5 c 3 three small
  commit 2
  5 c 4 four small
  commit 3
acknowledge commit 3
confirmed commit 3 -> commit 3
stream closes
stream opens from commit 2
stream 1
  5 c 4 four small
  commit 3`,
  },
  {
    name: 'the end of the log is told when all is acknowledged, and a stream that begins there has what is committed later',
    text: `
anchor
stream opens
A begin
A insert 1 open small
run insert 2 two small
stream 1
  5 c 2 two small
  commit 1
acknowledge commit 1
stream idle
acknowledge idle
confirmed idle -> idle
stream closes
verify idle
A insert 3 open small
A commit
stream opens from idle
stream 1
  5 c 1 open small
  9 c 3 open small
  commit 2`,
  },
  {
    name: 'a table that is taken in is streamed from its marker on; changes have the same place wherever the stream began',
    text: `
anchor
run other insert 1 before small
A begin
A other insert 2 early small
A insert 2 early small
extend begins
extend waits for A
run other insert 3 meanwhile small
A other insert 4 late small
A insert 4 late small
A commit
extend ends
mark generation
run other update 1 after; insert 5 after small
stream opens
stream 4
  commit 1
  5 c 2 early small
  9 c 4 late small
  commit 2
  5 marker generation
  commit 3
  5 other u 1 after small
  9 c 5 after small
  commit 4
acknowledge commit 1
stream closes
stream opens from commit 2
stream 3
  5 c 2 early small
  9 c 4 late small
  commit 2
  5 marker generation
  commit 3
  5 other u 1 after small
  9 c 5 after small
  commit 4
acknowledge commit 4
stream closes
run other update 3 last
stream opens from commit 4
stream 2
  5 other u 1 after small
  9 c 5 after small
  commit 4
  5 other u 3 last small
  commit 5`,
  },
  {
    name: 'a table is not taken in while somebody has it for himself',
    text: `
anchor
A begin
A other truncate
extend begins
A other insert 1 one small
A rollback
extend ends
extend
mark generation
run other insert 2 two small
stream opens
stream 2
  5 marker generation
  commit 1
  5 other c 2 two small
  commit 2`,
  },
  {
    name: 'a stream that goes on completes up to the end of the log, because what an earlier one found gone is not known',
    text: `
run insert 1 first La
anchor
complete off
stream opens
run update 1 one
stream 1
  5 u 1 one UNCHANGED
  commit 1
acknowledge commit 1
confirmed commit 1 -> commit 1
run update 1 two
stream closes
stream opens from commit 1
run update 1 three
stream 3
  5 u 1 one La COMPLETED
  commit 1
  5 u 1 two La COMPLETED
  commit 2
  5 u 1 three UNCHANGED
  commit 3`,
  },
  {
    name: 'a stream that the server ends is opened again, without the slot there is none',
    text: `
anchor
stream opens
run insert 1 one small
stream 1
  5 c 1 one small
  commit 1
break
stream 1 -> unavailable
stream closes
verify commit 1
stream opens
stream 1
  5 c 1 one small
  commit 1
drop
stream 1 -> unavailable
stream closes
verify commit 1 -> gap
stream opens -> gap`,
  },
  {
    name: 'a crash of the server ends what is open, keeps what is prepared, shows what was committed, and the slot may go back',
    typical: true,
    text: `
run insert 1 first small
anchor
stream opens
run insert 2 two small
run insert 3 three small
stream 2
  5 c 2 two small
  commit 1
  5 c 3 three small
  commit 2
acknowledge commit 2
confirmed commit 2 -> commit 2
A begin
A insert 4 prepared small
A prepare
B begin
B insert 5 open small
C begin
C insert 6 late small
C commit late
stream 1
  5 c 6 late small
  commit 3
plan any
read
  1 first small
  2 two small
  3 three small
crash
confirmed -> l0
stream 1 -> unavailable
stream closes
read
  1 first small
  2 two small
  3 three small
  6 late small
A commit
verify commit 2
stream opens from l0
stream 1
  5 c 2 two small
  commit 1
stream closes
stream opens from commit 2
stream 3
  5 c 3 three small
  commit 2
  5 c 6 late small
  commit 3
  5 c 4 prepared small
  commit 4`,
  },
];
