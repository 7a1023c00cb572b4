import { MANAGED_AGENTS_PAGE, supportTable } from "../managed-agents-table.ts";
import { commandsPart, exitCodesPart } from "./command-reference.ts";
import { environmentPart } from "./environment-reference.ts";
import { ERROR_CODES, errorPart, errorReasonsPart, errorTypesPart } from "./error-reference.ts";
import { channelsPart, liveEventsPart, recordedEventsPart } from "./event-reference.ts";
import { operationsPart, schemasPart } from "./http-reference.ts";
import { metricsPart, spanAttributesPart } from "./metric-reference.ts";
import { OPTION_OBJECTS, optionObjectPart } from "./option-objects.ts";
import { ownOptionSections, ownOptionsTable, sdkOptionsPart } from "./option-reference.ts";

/** A part of a page that the code determines. */
interface Part {
  /** The pages that have it, relative to the root of the repository. */
  readonly page: string;
  readonly text: () => string;
}

/** The generated parts of the documentation, by name. In a page, each stands between `<!-- name -->` and `<!-- /name -->`. */
const PARTS: ReadonlyMap<string, Part> = new Map([
  part("session options", "docs/reference/options.md", ownOptionsTable),
  part("each session option", "docs/reference/options.md", ownOptionSections),
  part("sdk options", "docs/reference/options.md", sdkOptionsPart),
  ...OPTION_OBJECTS.map((name) => part(name, pageOf(name), () => optionObjectPart(name))),
  ...ERROR_CODES.map((code) => part(code, "docs/reference/errors.md", () => errorPart(code))),
  part("error types", "docs/reference/errors.md", errorTypesPart),
  part("error reasons", "docs/reference/errors.md", errorReasonsPart),
  part("channels", "docs/reference/events.md", channelsPart),
  part("recorded events", "docs/reference/record-events.md", recordedEventsPart),
  part("live events", "docs/reference/record-events.md", liveEventsPart),
  part("metrics", "docs/reference/metrics.md", metricsPart),
  part("span attributes", "docs/reference/metrics.md", spanAttributesPart),
  part("operations", "docs/reference/http-api.md", operationsPart),
  part("schemas", "docs/reference/http-types.md", schemasPart),
  part("commands", "docs/reference/command-line.md", commandsPart),
  part("exit codes", "docs/reference/command-line.md", exitCodesPart),
  part("environment", "docs/reference/configuration.md", environmentPart),
  part("support", MANAGED_AGENTS_PAGE, supportTable),
]);

const PLACE = /(<!-- (?!\/)([\w ]+) -->\n)[\s\S]*?(<!-- \/\2 -->)/g;

/**
 * Returns a page with its generated parts up to date.
 *
 * @throws Error if a part of the page has no place in it, or a place no part
 */
export function withParts(page: string, text: string): string {
  const missing = new Set([...PARTS].filter(([, part]) => part.page === page).map(([name]) => name));
  const current = text.replace(PLACE, (_, begin: string, name: string, end: string) => {
    const found = PARTS.get(name);
    if (found?.page !== page) throw new Error(`${page} has a place for \`${name}\`, which is no part of it`);
    missing.delete(name);
    return `${begin}\n${found.text()}\n\n${end}`;
  });
  if (missing.size > 0) throw new Error(`${page} has no place for ${[...missing].join(", ")}`);
  return current;
}

function part(name: string, page: string, text: () => string): readonly [string, Part] {
  return [name, { page, text }];
}

function pageOf(name: (typeof OPTION_OBJECTS)[number]): string {
  const isFile = ["CastellanConfig", "EnvReference", "FromConfigOptions"].includes(name);
  return isFile ? "docs/reference/configuration.md" : "docs/reference/options.md";
}
