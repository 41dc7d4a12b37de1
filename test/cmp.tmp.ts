import { compareTable } from './compare/compare-table.ts';
import { openSink } from './compare/sink-table.ts';
import { connectSource } from './compare/source-table.ts';

const [dsn, file, ...tables] = process.argv.slice(2);
const c = await connectSource(dsn!);
const s = await openSink(file!);
for (const t of tables) {
  try {
    const r = await compareTable(c, s, t, new AbortController().signal);
    console.log(t, JSON.stringify(r).slice(0, 700));
  } catch (e) {
    console.log(t, String(e).slice(0, 600));
  }
}
await c.end();
s.close();
