import { styleText } from "node:util";
import { Command, Option } from "commander";
import { printable } from "../../printable.ts";
import type { Finding } from "../checks/finding.ts";

const MARKS = {
  ok: styleText("green", "ok     "),
  warning: styleText("yellow", "warning"),
  failed: styleText("red", "failed "),
} as const satisfies Record<Finding["verdict"], string>;

/** The command `doctor`. */
export function doctorCommand(): Command {
  return new Command("doctor")
    .description("check whether sessions can run here, and say what is missing; exits with 1 on a failure")
    .addOption(
      new Option("--cwd <folder>", "the working directory of a session").default(process.cwd(), "the current folder"),
    )
    .option("--config <file>", "a config file other than castellan.config.*")
    .option("--json", "print the findings as JSON")
    .action(async ({ json, ...options }: { cwd: string; config?: string; json?: boolean }) => {
      // Loaded on demand, so that the other commands start fast.
      const { examine } = await import("../checks/doctor.ts");
      const findings = await examine(options);
      if (json) console.log(JSON.stringify(findings, null, 2));
      else
        for (const { subject, verdict, message } of findings)
          console.log(`${MARKS[verdict]}  ${subject}: ${printable(message)}`);
      if (findings.some(({ verdict }) => verdict === "failed")) process.exitCode = 1;
    });
}
