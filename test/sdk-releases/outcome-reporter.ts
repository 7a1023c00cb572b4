import { writeFileSync } from "node:fs";
import { stripVTControlCharacters } from "node:util";
import type { SerializedError } from "vitest";
import type { Reporter, TestModule } from "vitest/node";
import type { Outcome } from "./outcome.ts";

/** Writes the outcomes of a run to the file of the variable `AGENT_SDK_OUTCOMES`. */
export default class OutcomeReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandled: readonly SerializedError[]): void {
    const outcomes: Outcome[] = modules.flatMap(outcomesOf);
    const all = [...outcomes, ...unhandled.map((error) => failed("outside the tests", [error]))];
    writeFileSync(process.env["AGENT_SDK_OUTCOMES"] ?? "", JSON.stringify(all));
  }
}

function outcomesOf(module: TestModule): Outcome[] {
  const file = module.relativeModuleId;
  const suites = [module, ...module.children.allSuites()].flatMap((suite) => {
    const name = suite.type === "module" ? file : `${file} > ${suite.fullName}`;
    return suite.errors().length === 0 ? [] : [failed(name, suite.errors())];
  });
  const tests = [...module.children.allTests()].map((test): Outcome => {
    const { state, errors = [] } = test.result();
    const name = `${file} > ${test.fullName}`;
    if (state === "failed") return failed(name, errors);
    return { test: name, state: state === "passed" ? "passed" : "skipped", message: "", lines: [] };
  });
  return [...suites, ...tests];
}

function failed(test: string, errors: readonly SerializedError[]): Outcome {
  const message = stripVTControlCharacters(errors.map((error) => error.message).join("\n"));
  return { test, state: "failed", message, lines: [...new Set(errors.flatMap(({ diff }) => differentLines(diff)))] };
}

/** Omits the legend, which stands above each difference. */
function differentLines(diff: unknown): string[] {
  const lines = typeof diff === "string" ? stripVTControlCharacters(diff).split("\n") : [];
  return lines
    .filter((line) => /^[-+] +\S/.test(line) && !/^(- Expected|\+ Received)\b/.test(line))
    .map((line) => line.replace(/\s+/, " "));
}
