import { parseArgs } from "node:util";
import { StarterError } from "./starter-error.ts";
import { isTemplate, TEMPLATE_NAMES, TEMPLATES, type TemplateName } from "./template.ts";

/** What the command line says. What it leaves open, a person is asked. */
export interface Arguments {
  readonly folder: string | undefined;
  readonly template: TemplateName | undefined;
  readonly install: boolean | undefined;
  /** The release of castellan, in place of the template's. */
  readonly castellan: string | undefined;
  /** Whether to ask nothing. */
  readonly yes: boolean;
  readonly help: boolean;
}

export const HELP: string = `Usage: npm create castellan [folder] -- [options]

Options:
  --template <name>      ${TEMPLATE_NAMES.map((name) => `${name}: ${TEMPLATES[name]}`).join("\n                         ")}
  --no-install           only write the files
  --castellan <version>  another release of castellan: a version, a tag or the path of a package
  --yes                  ask nothing
  --help                 print this`;

/** @throws StarterError */
export function parseArguments(argv: readonly string[]): Arguments {
  const { values, positionals } = parsed(argv);
  const { template, install, castellan, yes = false, help = false } = values;
  if (positionals.length > 1) throw new StarterError(`Expected one folder; got ${positionals.join(", ")}.`);
  if (template !== undefined && !isTemplate(template)) {
    throw new StarterError(
      `There is no template ${JSON.stringify(template)}. Take one of ${TEMPLATE_NAMES.join(", ")}.`,
    );
  }
  return { folder: positionals[0], template, install, castellan, yes, help };
}

function parsed(argv: readonly string[]) {
  try {
    return parseArgs({
      args: [...argv],
      allowPositionals: true,
      allowNegative: true,
      options: {
        template: { type: "string" },
        install: { type: "boolean" },
        castellan: { type: "string" },
        yes: { type: "boolean", short: "y" },
        help: { type: "boolean", short: "h" },
      },
    });
  } catch (error) {
    throw new StarterError(`${(error as Error).message}\nAdd --help for the options.`);
  }
}
