import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { PAGES, pages, ROOT, synced, textOf } from "./guide.ts";

/** Writes the regions of the examples into the pages of the guide. */
for (const name of pages()) {
  const file = `${PAGES}/${name}`;
  const before = textOf(file);
  const after = synced(before);
  if (after === before) continue;
  writeFileSync(join(ROOT, file), after);
  process.stdout.write(`${file}\n`);
}
