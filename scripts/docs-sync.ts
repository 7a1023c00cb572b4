import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pages, ROOT, synced, textOf } from "./guide.ts";
import { HTTP_PAGE, httpPage, OPENAPI_FILE, openApiText } from "./http-reference.ts";
import { MANAGED_AGENTS_PAGE, withSupportTable } from "./managed-agents-table.ts";
import { OPTIONS_PAGE, optionsPage } from "./option-reference.ts";

/*
 * `npm run docs:sync` writes the options page, the OpenAPI description and the tables of operations of both APIs, and copies the code of
 * the examples into the pages that show it.
 */
write(OPTIONS_PAGE, optionsPage());
write(OPENAPI_FILE, openApiText());
write(HTTP_PAGE, httpPage(textOf(HTTP_PAGE)));
write(MANAGED_AGENTS_PAGE, withSupportTable(textOf(MANAGED_AGENTS_PAGE)));
for (const file of pages()) write(file, synced(textOf(file)));

function write(file: string, text: string): void {
  if (existsSync(join(ROOT, file)) && textOf(file) === text) return;
  writeFileSync(join(ROOT, file), text);
  process.stdout.write(`${file}\n`);
}
