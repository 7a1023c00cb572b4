import { Argument } from "commander";
import { NAME_FORMS, parseName } from "./name-argument.ts";

/** The argument `<name>` of a command: a session. */
export function sessionArgument(): Argument {
  return new Argument("<name>", `${NAME_FORMS}; global:NAME for a global session`).argParser(parseName);
}
