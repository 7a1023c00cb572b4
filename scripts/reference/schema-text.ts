import { code, prose } from "./markdown.ts";

/** The part of JSON Schema that the OpenAPI description uses. */
export interface Schema {
  readonly $ref?: string;
  readonly type?: string | readonly string[];
  readonly description?: string;
  readonly enum?: readonly unknown[];
  readonly items?: Schema;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: boolean | Schema;
  readonly anyOf?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
}

/** The page of the named schemas, beside the pages that refer to them. */
const PAGE = "http-types.md";

/** A schema on one line. A named one is a link. */
export function schemaText(schema: Schema): string {
  const { $ref, enum: values, items, additionalProperties, properties } = schema;
  if ($ref !== undefined) {
    const name = $ref.slice($ref.lastIndexOf("/") + 1);
    return `[${name}](${PAGE}#${name.toLowerCase()})`;
  }
  if (values !== undefined) return values.map((value) => code(JSON.stringify(value))).join(", ");
  const choices = choicesOf(schema);
  if (choices.length > 0) return choices.map(schemaText).join(" or ");
  if (items !== undefined) return `array of ${schemaText(items)}`;
  if (properties === undefined && typeof additionalProperties === "object")
    return `map of ${schemaText(additionalProperties)}`;
  const types = [schema.type ?? []].flat();
  return types.length > 5 ? "any JSON" : types.join(" or ");
}

/**
 * The rows of a table of an object's fields: name, type, meaning. A field of an object in it has the name `outer.inner`, or
 * `outer[].inner` in an array. Objects that differ by their `type` have a row each.
 */
export function schemaRows(schema: Schema, path = ""): string[][] {
  const variants = choicesOf(schema).filter(({ properties }) => properties?.["type"]?.enum !== undefined);
  if (variants.length > 1) return variants.map((variant) => variantRow(variant, variants));
  return Object.entries(schema.properties ?? {}).flatMap(([name, field]) => {
    const isRequired = schema.required?.includes(name) === true;
    const full = `${path}${name}`;
    const row = [code(isRequired ? full : `${full}?`), schemaText(field), prose(field.description ?? "")];
    const inner = field.items === undefined ? schemaRows(field, `${full}.`) : schemaRows(field.items, `${full}[].`);
    return [row, ...inner];
  });
}

/** One of several objects that differ by their `type`: the type, and the fields that not all of them have. */
function variantRow({ properties = {}, required = [], description = "" }: Schema, all: readonly Schema[]): string[] {
  const fields = Object.keys(properties)
    .filter((name) => !all.every((other) => other.properties?.[name] !== undefined))
    .map((name) => code(required.includes(name) ? name : `${name}?`));
  const [type] = properties["type"]?.enum ?? [];
  return [code(`type: ${JSON.stringify(type)}`), fields.join(", "), prose(description)];
}

function choicesOf({ anyOf = [], oneOf = [] }: Schema): readonly Schema[] {
  return [...anyOf, ...oneOf];
}
