#!/usr/bin/env node
import { nodeProblem } from "../node-release.ts";

const problem = nodeProblem(process.versions.node);
if (problem === undefined) {
  const { runProgram } = await import("./run-program.ts");
  await runProgram(process.argv);
} else {
  console.error(problem);
  process.exitCode = 1;
}
