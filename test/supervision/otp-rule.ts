import { describe, it } from "vitest";
import { Stage } from "./stage.ts";

/**
 * One rule that OTP documents. `source` names the page (`supervisor`: stdlib's module page; `sup_princ`: "Supervisor
 * Behaviour" of the design principles) and the section, of OTP 27 and 28. `deviates` says where this library departs
 * from it on purpose.
 */
export interface OtpRule {
  readonly source: string;
  readonly rule: string;
  readonly deviates?: string;
  check(stage: Stage): Promise<void>;
}

/** Runs each rule as a test, on a stage of its own. */
export function checkRules(title: string, rules: readonly OtpRule[]): void {
  describe(title, () => {
    for (const { source, rule, deviates, check } of rules) {
      it(`${rule} [${source}]${deviates === undefined ? "" : `, except: ${deviates}`}`, () => check(new Stage()));
    }
  });
}
