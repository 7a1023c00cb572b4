import { openApiDocument } from "../src/server/native/openapi-document.ts";
import { OPERATIONS } from "../src/server/native/operations.ts";

/** The path of the OpenAPI description, relative to the root of the repository. */
export const OPENAPI_FILE = "docs/openapi.json";

/** The path of the page about the API, relative to the root of the repository. */
export const HTTP_PAGE = "docs/guide/http-api.md";

/** Returns the OpenAPI description as it is checked in. */
export function openApiText(): string {
  return `${JSON.stringify(openApiDocument(), null, 2)}\n`;
}

/** Returns the page with a current table of operations. */
export function httpPage(page: string): string {
  return page.replace(/(<!-- operations -->\n)[\s\S]*?(<!-- \/operations -->)/, (_, begin: string, end: string) => {
    return `${begin}${operationTables()}${end}`;
  });
}

function operationTables(): string {
  const groups = Map.groupBy(OPERATIONS, ({ tag }) => tag);
  const tables = [...groups].map(([tag, operations]) => {
    const rows = operations.map(({ id, method, path, scope, summary, idempotent, wholeReach }) => {
      const scopes = wholeReach === true ? `${scope}, all` : scope;
      return `| \`${method.toUpperCase()} ${path}\` | ${scopes} | ${idempotent ? "yes" : "no"} | ${summary} \`${id}\` |`;
    });
    return `### ${tag}\n\n| request | scope | repeatable | does |\n|---|---|---|---|\n${rows.join("\n")}\n`;
  });
  return `\n${tables.join("\n")}\n`;
}
