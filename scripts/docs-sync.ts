import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pages, ROOT, synced, textOf } from "./guide.ts";
import { OPENAPI_FILE, openApiText } from "./reference/http-reference.ts";
import { withParts } from "./reference/pages.ts";

/* `npm run docs:sync` writes the OpenAPI description and the generated parts of pages, and copies the regions of the examples into them. */
write(OPENAPI_FILE, openApiText());
for (const page of pages()) write(page, withParts(page, synced(textOf(page))));

function write(file: string, text: string): void {
  if (existsSync(join(ROOT, file)) && textOf(file) === text) return;
  writeFileSync(join(ROOT, file), text);
  process.stdout.write(`${file}\n`);
}
