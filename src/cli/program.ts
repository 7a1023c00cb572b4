import { createRequire } from "node:module";
import { styleText } from "node:util";
import { Command } from "commander";
import { printable } from "../printable.ts";
import { examine, type Finding } from "./doctor.ts";

const { version } = createRequire(import.meta.url)("castellan/package.json") as { readonly version: string };

const MARKS = {
  ok: styleText("green", "ok     "),
  warning: styleText("yellow", "warning"),
  failed: styleText("red", "failed "),
} as const satisfies Record<Finding["verdict"], string>;

/** The commands of `castellan`. */
export const program: Command = new Command("castellan")
  .description("Supervision for Claude Code sessions")
  .version(version)
  .showHelpAfterError();

program
  .command("doctor")
  .description("check whether sessions can run here, and say what is missing; exits with 1 on a failure")
  .option("--cwd <folder>", "the working directory of a session", process.cwd())
  .option("--config <file>", "a config file other than castellan.config.*")
  .option("--json", "print the findings as JSON")
  .action(async ({ json, ...options }: { cwd: string; config?: string; json?: boolean }) => {
    const findings = await examine(options);
    if (json) console.log(JSON.stringify(findings, null, 2));
    else
      for (const { subject, verdict, message } of findings)
        console.log(`${MARKS[verdict]}  ${subject}: ${printable(message)}`);
    if (findings.some(({ verdict }) => verdict === "failed")) process.exitCode = 1;
  });
