import { openApiDocument } from "../../src/server/native/openapi-document.ts";
import { OPERATIONS } from "../../src/server/native/operations.ts";
import { code, prose, table } from "./markdown.ts";
import { type Schema, schemaRows, schemaText } from "./schema-text.ts";

/** The path of the OpenAPI description, relative to the root of the repository. */
export const OPENAPI_FILE = "docs/openapi.json";

/** Returns the OpenAPI description as it is checked in. */
export function openApiText(): string {
  return `${JSON.stringify(openApiDocument(), null, 2)}\n`;
}

interface Content {
  readonly description?: string;
  readonly content?: Readonly<Record<string, { readonly schema: Schema }>>;
}

interface Described {
  readonly summary: string;
  readonly description?: string;
  readonly parameters?: readonly {
    readonly name: string;
    readonly in: string;
    readonly required?: boolean;
    readonly description?: string;
    readonly schema: Schema;
  }[];
  readonly requestBody?: Content;
  readonly responses: Readonly<Record<string, Content>>;
}

interface Description {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Described>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, Schema>> };
}

/** The description, whose form the tests of `docs/openapi.json` check. */
function description(): Description {
  return JSON.parse(openApiText()) as Description;
}

/** For each group of operations a table, and a section for each of them. */
export function operationsPart(): string {
  const { paths } = description();
  const groups = Map.groupBy(OPERATIONS, ({ tag }) => tag);
  return [...groups]
    .map(([tag, operations]) => {
      const rows = operations.map(({ id, method, path, scope, summary, idempotent, wholeReach }) => {
        const scopes = wholeReach === true ? `${scope}, all` : scope;
        const link = `[${code(id)}](#${id.toLowerCase()})`;
        return [link, code(`${method.toUpperCase()} ${path}`), scopes, idempotent ? "yes" : "no", prose(summary)];
      });
      const sections = operations.map(({ id, method, path }) =>
        operationSection(id, `${method.toUpperCase()} ${path}`, paths[path]?.[method]),
      );
      return [
        `## ${tag}`,
        table(["operation", "request", "scope", "repeatable", "does"], rows).trimEnd(),
        ...sections,
      ].join("\n\n");
    })
    .join("\n\n");
}

function operationSection(id: string, request: string, operation: Described | undefined): string {
  if (operation === undefined) throw new Error(`the description has no operation ${id}`);
  const { parameters = [], requestBody, responses } = operation;
  const rows = parameters.map(({ name, in: place, required, description = "", schema }) => [
    code(required === true ? name : `${name}?`),
    place,
    schemaText(schema),
    prose(description),
  ]);
  // The scope stands in the table above.
  const more = (operation.description ?? "").replace(/\s*Needs the scope[^.]*\.[^\n]*$/, "").trim();
  return [
    `### ${id}`,
    code(request),
    ...(more === "" ? [] : [prose(more)]),
    ...(rows.length === 0 ? [] : [table(["parameter", "in", "type", "meaning"], rows).trimEnd()]),
    ...(requestBody === undefined ? [] : [`Body: ${contentText(requestBody)}.`]),
    ...Object.entries(responses)
      .filter(([status]) => status !== "default")
      .map(([status, answer]) =>
        `Answer ${status}: ${contentText(answer)}. ${prose(answer.description ?? "")}`.replace(/ The answer\.$/, ""),
      ),
  ].join("\n\n");
}

function contentText({ content = {} }: Content): string {
  const kinds = Object.entries(content).map(([type, { schema }]) => {
    const text = schemaText(schema);
    return type === "application/json" ? text : `${code(type)}${schema.$ref === undefined ? "" : `, ${text}`}`;
  });
  return kinds.length === 0 ? "empty" : kinds.join(" or ");
}

/** A section for each type of the API. */
export function schemasPart(): string {
  const { schemas } = description().components;
  return Object.entries(schemas)
    .toSorted(([one], [other]) => (one < other ? -1 : 1))
    .map(([name, schema]) => {
      const rows = schemaRows(schema);
      const text =
        rows.length === 0 ? [`${schemaText(schema)}.`] : [table(["field", "type", "meaning"], rows).trimEnd()];
      return [`## ${name}`, ...(schema.description === undefined ? [] : [prose(schema.description)]), ...text].join(
        "\n\n",
      );
    })
    .join("\n\n");
}
