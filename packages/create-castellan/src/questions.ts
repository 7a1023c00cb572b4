import { confirm, isCancel, select, text } from "@clack/prompts";
import type { Arguments } from "./arguments.ts";
import { nameProblem, packageName } from "./project.ts";
import { Cancelled, StarterError } from "./starter-error.ts";
import { TEMPLATE_NAMES, TEMPLATES, type TemplateName } from "./template.ts";

/** What to make. */
export interface Choice {
  readonly folder: string;
  readonly template: TemplateName;
  readonly install: boolean;
}

/** Completes the arguments: asks a person, or takes defaults. @throws StarterError; Cancelled */
export async function choose(given: Arguments, isTerminal: boolean): Promise<Choice> {
  const { folder, template, install } = given;
  if (given.yes || !isTerminal) {
    if (folder === undefined) throw new StarterError("Name a folder: npm create castellan my-chat");
    return { folder, template: template ?? "chat", install: install ?? true };
  }
  return {
    folder:
      folder ??
      (await answered(text({ message: "Where?", placeholder: "my-chat", defaultValue: "my-chat", validate: check }))),
    template: template ?? (await answered(select({ message: "What?", options: TEMPLATE_NAMES.map(optionOf) }))),
    install: install ?? (await answered(confirm({ message: "Install the packages?" }))),
  };
}

function check(folder: string | undefined): string | undefined {
  return folder === undefined || folder === "" ? undefined : nameProblem(packageName(folder));
}

function optionOf(value: TemplateName): {
  readonly value: TemplateName;
  readonly label: string;
  readonly hint: string;
} {
  return { value, label: value, hint: TEMPLATES[value] };
}

async function answered<Answer>(question: Promise<Answer>): Promise<Exclude<Answer, symbol>> {
  const answer = await question;
  if (isCancel(answer)) throw new Cancelled("Cancelled.");
  return answer as Exclude<Answer, symbol>;
}
